{# Notes of churn on a day on which no subscription of the account ended. #}
with churn_events as (
    select * from {{ source('ravenstack', 'churn_events') }}
),

subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
)

select
    churn_events.churn_event_id,
    churn_events.account_id,
    churn_events.churn_date

from churn_events

where not exists (
    select 1
    from subscriptions
    where
        subscriptions.account_id = trim(churn_events.account_id)
        and subscriptions.ended_at = {{ day_first('churn_events.churn_date') }}
)
