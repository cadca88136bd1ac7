{# One row per subscription that had begun by as_of, in the state it was in then. #}
with subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
),

plans as (
    select * from {{ ref('stg_plans') }}
),

merged_accounts as (
    select * from {{ ref('merged_accounts') }}
),

known as (
    select
        subscription_id,
        account_id,
        plan_id,
        trial_ends_at,
        period_ends_at,
        billing_interval,
        is_auto_renew,
        seats,
        seats_used,
        mrr_value,
        {{ happened('trial_started_at') }} as trial_started_at,
        {{ happened('paid_started_at') }} as paid_started_at,
        {{ happened('past_due_since') }} as past_due_since,
        {{ happened('cancel_requested_at') }} as cancel_requested_at,
        {{ happened('ended_at') }} as ended_at
    from subscriptions
),

dated as (
    select
        subscription_id,
        account_id,
        plan_id,
        trial_started_at,
        -- buying or leaving ends a trial before its time
        case
            when trial_started_at is not null then least(trial_ends_at, paid_started_at, ended_at)
        end as trial_ends_at,
        paid_started_at,
        period_ends_at,
        billing_interval,
        is_auto_renew,
        past_due_since,
        cancel_requested_at,
        ended_at,
        seats,
        seats_used,
        mrr_value,
        case
            when ended_at is not null then 'ended'
            when paid_started_at is not null then 'paid'
            when trial_ends_at <= {{ as_of() }} then 'ended'
            else 'trial'
        end as state
    from known
    where
        trial_started_at is not null
        or paid_started_at is not null
)

select
    dated.subscription_id,
    coalesce(merged_accounts.account_id, dated.account_id) as account_id,
    dated.plan_id,
    plans.plan_rank,
    plans.seat_limit,
    plans.plan_rank < (
        select max(all_plans.plan_rank) from plans as all_plans
    ) as has_higher_plan,
    dated.state,
    case dated.state when 'paid' then 1 when 'trial' then 2 else 3 end as state_rank,
    dated.trial_started_at,
    dated.trial_ends_at,
    dated.paid_started_at,
    dated.period_ends_at,
    dated.billing_interval,
    dated.is_auto_renew,
    dated.past_due_since,
    dated.cancel_requested_at,
    dated.ended_at,
    dated.seats,
    dated.seats_used,
    dated.mrr_value

from dated

left join plans
    on dated.plan_id = plans.plan_id

left join merged_accounts
    on dated.account_id = merged_accounts.merged_account_id
