{# One row per account and moment at which its stage may have changed, with what held then. #}
with account_moments as (
    select * from {{ ref('int_account_moments') }}
),

spans as (
    select * from {{ ref('account_spans') }}
),

trial as (
    select * from spans
    where kind = 'trial'
),

paid as (
    select * from spans
    where kind = 'paid'
),

past_due as (
    select * from spans
    where kind = 'past_due'
),

active as (
    select * from spans
    where kind = 'active'
),

ordering as (
    select * from spans
    where kind = 'ordering'
)

-- of every kind a moment sees the latest span that had begun by then
select
    account_moments.account_id,
    account_moments.moment,
    coalesce(trial.ended_at > account_moments.moment, trial.started_at is not null) as is_in_trial,
    coalesce(paid.ended_at > account_moments.moment, paid.started_at is not null) as is_paid,
    coalesce(past_due.ended_at > account_moments.moment, past_due.started_at is not null)
        as is_past_due,
    trial.first_started_at as first_tried_at,
    paid.first_started_at as first_paid_at,
    paid.started_at as paid_since,
    paid.previous_ended_at as paid_before_until,
    case
        when active.started_at is not null then least(active.ended_at, account_moments.moment)
    end as last_active_at,
    ordering.first_started_at as first_order_at,
    ordering.started_at as ordering_since,
    ordering.previous_ended_at as ordered_before_until,
    case
        when ordering.started_at is not null then least(ordering.ended_at, account_moments.moment)
    end as last_order_at

from account_moments

asof left join trial
    on
        account_moments.account_id = trial.account_id
        and account_moments.moment >= trial.started_at

asof left join paid
    on
        account_moments.account_id = paid.account_id
        and account_moments.moment >= paid.started_at

asof left join past_due
    on
        account_moments.account_id = past_due.account_id
        and account_moments.moment >= past_due.started_at

asof left join active
    on
        account_moments.account_id = active.account_id
        and account_moments.moment >= active.started_at

asof left join ordering
    on
        account_moments.account_id = ordering.account_id
        and account_moments.moment >= ordering.started_at
