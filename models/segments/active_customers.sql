{# Customers in good standing who use the product often or bought in the last quarter. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    active_days_28,
    last_active_at,
    last_order_at

from contacts

where
    stage = 'active'
    and (
        active_days_28 >= {{ var('active_customer_days') }}
        or {{ within_last('last_order_at', var('active_order_days')) }}
    )
