{# Contacts whose trial ended in the last month without a purchase. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    trial_ends_at as trial_ended_at,
    activated_at,
    last_active_at

from contacts

where
    stage = 'trial_expired'
    and {{ within_last('trial_ends_at', var('trial_expired_days')) }}
