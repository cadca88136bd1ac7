{# Trial users whose trial ends within three days. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    trial_ends_at,
    active_days_7,
    activated_at

from contacts

where
    stage = 'trial'
    and {{ within_next('trial_ends_at', var('trial_ending_days')) }}
