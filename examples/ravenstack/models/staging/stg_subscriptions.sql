{# One row per subscription or trial; an account has up to 18 open at once. #}
with subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

cleaned as (
    select
        trim(subscription_id) as subscription_id,
        trim(account_id) as account_id,
        trim(plan_tier) as plan_id,
        cast(is_trial as boolean) as is_trial,
        {{ day_first('start_date') }} as started_at,
        {{ day_first('end_date') }} as ended_at,
        case trim(billing_frequency)
            when 'monthly' then 'month'
            when 'annual' then 'year'
        end as billing_interval,
        cast(auto_renew_flag as boolean) as is_auto_renew,
        cast(seats as integer) as seats,
        cast(mrr_amount as decimal(18, 2)) as mrr_amount
    from subscriptions
)

select
    subscription_id,
    account_id,
    plan_id,
    case when is_trial then started_at end as trial_started_at,
    -- end_date says when a trial did end; when one was meant to end, nothing says
    cast(null as timestamp) as trial_ends_at,
    case when not is_trial then started_at end as paid_started_at,
    cast(null as timestamp) as period_ends_at,
    billing_interval,
    is_auto_renew,
    cast(null as timestamp) as past_due_since,
    cast(null as timestamp) as cancel_requested_at,
    ended_at,
    seats,
    -- seats are what was sold; who uses them is not recorded
    cast(null as integer) as seats_used,
    '{{ var("currency") }}' as currency,
    mrr_amount,
    mrr_amount as mrr_value

from cleaned
