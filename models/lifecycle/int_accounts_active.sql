{#
    One row per account that ever paid and stretch of days on which somebody of it was active.
    A stretch is as long as the silence that puts an account at risk, so no such silence hides
    inside one: the first and last moment of each are enough to find them all.
#}
with subscriptions as (
    select * from {{ ref('int_subscriptions_dated') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

daily_activity as (
    select * from {{ ref('daily_activity') }}
),

paying as (
    select
        account_id,
        min(paid_started_at) as first_paid_at
    from subscriptions
    where paid_started_at is not null
    group by account_id
),

stretches as (
    select
        contacts.account_id,
        min(daily_activity.first_occurred_at) as first_active_at,
        max(daily_activity.last_occurred_at) as last_active_at
    from daily_activity
    inner join contacts
        on daily_activity.contact_id = contacts.contact_id
    inner join paying
        on contacts.account_id = paying.account_id
    where
        daily_activity.is_activity
        and not contacts.is_internal
    group by
        contacts.account_id,
        date_diff('day', date '2000-01-01', daily_activity.occurred_on)
        // {{ var('at_risk_days') }}
),

recording as (
    select min(first_active_at) as started_at
    from stretches
)

select
    account_id,
    first_active_at,
    last_active_at

from stretches

union all

-- buying is a sign of life too: who never came afterwards is silent since then, as far as
-- activity was recorded at all
select
    paying.account_id,
    greatest(paying.first_paid_at, recording.started_at) as first_active_at,
    greatest(paying.first_paid_at, recording.started_at) as last_active_at

from paying

cross join recording

where recording.started_at is not null
