{# One row per account, kind of span and piece of it; pieces may overlap. #}
with subscriptions as (
    select * from {{ ref('int_subscriptions_dated') }}
),

orders as (
    select * from {{ ref('int_orders_resolved') }}
),

accounts as (
    select * from {{ ref('accounts') }}
),

account_activity as (
    select * from {{ ref('int_accounts_active') }}
),

recording as (
    select min(first_active_at) as started_at
    from account_activity
)

select
    account_id,
    'trial' as kind,
    trial_started_at as started_at,
    {{ happened('trial_ends_at') }} as ended_at,
    {{ happened('trial_ends_at') }} as reaches_to

from subscriptions

where trial_started_at is not null

union all

select
    account_id,
    'paid' as kind,
    paid_started_at as started_at,
    ended_at,
    ended_at as reaches_to

from subscriptions

where paid_started_at is not null

union all

select
    account_id,
    'past_due' as kind,
    greatest(past_due_since, paid_started_at) as started_at,
    ended_at,
    ended_at as reaches_to

from subscriptions

where
    past_due_since is not null
    and paid_started_at is not null

-- pieces of these kinds belong together although nothing may happen between them for a while
union all

select
    account_id,
    'active' as kind,
    first_active_at as started_at,
    last_active_at as ended_at,
    last_active_at + interval '{{ var("at_risk_days") }} days' as reaches_to

from account_activity

union all

-- to buy is a sign of life: who never came afterwards is silent since then, as far as activity
-- was recorded at all
select
    accounts.account_id,
    'active' as kind,
    greatest(accounts.first_paid_at, recording.started_at) as started_at,
    greatest(accounts.first_paid_at, recording.started_at) as ended_at,
    greatest(accounts.first_paid_at, recording.started_at)
    + interval '{{ var("at_risk_days") }} days' as reaches_to

from accounts

cross join recording

where
    accounts.first_paid_at is not null
    and recording.started_at is not null

union all

select
    account_id,
    'ordering' as kind,
    ordered_at as started_at,
    ordered_at as ended_at,
    ordered_at + interval '{{ var("order_at_risk_days") }} days' as reaches_to

from orders

where cancelled_at is null
