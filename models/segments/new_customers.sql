{# Customers in their first month. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    stage_since,
    activated_at,
    active_days_7

from contacts

where stage = 'new'
