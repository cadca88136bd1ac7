{# Billing contacts and owners of accounts that have cancelled and are still customers. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    cancel_requested_at,
    period_ends_at,
    account_days_inactive

from contacts

where
    {{ is_customer('stage') }}
    and cancel_requested_at is not null
    and period_ends_at > {{ as_of() }}
    and {{ handles_billing() }}
