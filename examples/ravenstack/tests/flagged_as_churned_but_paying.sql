{# Accounts whose churn_flag is set although a paid subscription of theirs has no end. #}
with accounts as (
    select * from {{ source('ravenstack', 'accounts') }}
),

subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
)

select trim(accounts.account_id) as account_id

from accounts

where
    cast(accounts.churn_flag as boolean)
    and exists (
        select 1
        from subscriptions
        where
            subscriptions.account_id = trim(accounts.account_id)
            and subscriptions.paid_started_at is not null
            and subscriptions.ended_at is null
    )
