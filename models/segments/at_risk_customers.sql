{# Customers whose account has gone quiet, and paying ones who use it half as much as before. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    stage,
    account_days_inactive,
    usage_change,
    last_order_at

from contacts

where
    stage = 'at_risk'
    or (
        {{ is_customer('stage') }}
        and first_paid_at is not null
        and usage_change * 100 <= -{{ var('usage_drop_percent') }}
    )
