{# One row per account that ever tried or paid for a subscription: its best state, all added up. #}
with subscriptions as (
    select * from {{ ref('int_subscriptions_dated') }}
),

ranked as (
    select
        account_id,
        subscription_id,
        state = 'paid' as is_paid,
        min(state_rank) over (partition by account_id) as best_rank,
        row_number() over (
            partition by account_id
            order by
                state_rank asc,
                plan_rank desc nulls last,
                coalesce(paid_started_at, trial_started_at) desc,
                subscription_id
        ) = 1 as is_best,
        row_number() over (
            partition by account_id
            order by state_rank, period_ends_at nulls last, subscription_id
        ) = 1 as is_next_to_renew,
        -- a trial that runs, the one that ends first; else the one that ended last
        row_number() over (
            partition by account_id
            order by
                trial_started_at is not null desc,
                state = 'trial' desc,
                case when state = 'trial' then trial_ends_at end nulls last,
                trial_ends_at desc nulls last,
                subscription_id asc
        ) = 1 as is_trial_to_show
    from subscriptions
)

select
    subscriptions.account_id,
    max(subscriptions.state) filter (where ranked.is_best) as state,
    max(subscriptions.plan_id) filter (where ranked.is_best) as plan_id,
    max(subscriptions.plan_rank) filter (where ranked.is_best) as plan_rank,
    max(subscriptions.seat_limit) filter (where ranked.is_best) as seat_limit,
    bool_or(subscriptions.has_higher_plan) filter (where ranked.is_best) as has_higher_plan,
    max(subscriptions.trial_started_at) filter (where ranked.is_trial_to_show) as trial_started_at,
    max(subscriptions.trial_ends_at) filter (where ranked.is_trial_to_show) as trial_ends_at,
    min(subscriptions.paid_started_at) as first_paid_at,
    case
        when min(ranked.best_rank) > 1
            then
                max(subscriptions.ended_at) filter (where subscriptions.paid_started_at is not null)
    end as paid_until,
    max(subscriptions.period_ends_at) filter (where ranked.is_paid and ranked.is_next_to_renew)
        as period_ends_at,
    max(subscriptions.billing_interval) filter (where ranked.is_paid and ranked.is_next_to_renew)
        as billing_interval,
    bool_or(subscriptions.is_auto_renew) filter (where ranked.is_paid and ranked.is_next_to_renew)
        as is_auto_renew,
    min(subscriptions.past_due_since) filter (where ranked.is_paid) as past_due_since,
    min(subscriptions.cancel_requested_at) filter (where ranked.is_paid) as cancel_requested_at,
    cast(sum(subscriptions.seats) filter (
        where subscriptions.state_rank = ranked.best_rank and subscriptions.state != 'ended'
    ) as integer) as seats,
    cast(sum(subscriptions.seats_used) filter (
        where subscriptions.state_rank = ranked.best_rank and subscriptions.state != 'ended'
    ) as integer) as seats_used,
    cast(sum(subscriptions.mrr_value) filter (where ranked.is_paid) as decimal(18, 2)) as mrr_value,
    -- what was paid so far, at today's price; an average month has 2,629,800 seconds
    cast(sum(cast(round(
        subscriptions.mrr_value
        * date_diff(
            'second',
            subscriptions.paid_started_at,
            coalesce(subscriptions.ended_at, {{ as_of() }})
        ) / 2629800, 2
    ) as decimal(18, 2))) as decimal(18, 2)) as paid_value

from subscriptions

inner join ranked
    on subscriptions.subscription_id = ranked.subscription_id

group by subscriptions.account_id
