{# Customers who left in the last month. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    churned_at,
    lifetime_value,
    last_active_at

from contacts

where
    stage = 'churned'
    and {{ within_last('churned_at', var('churned_days')) }}
