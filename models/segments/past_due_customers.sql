{# Billing contacts and owners of accounts whose payment has failed. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    past_due_since,
    plan_id,
    mrr_value

from contacts

where
    past_due_since is not null
    and {{ handles_billing() }}
