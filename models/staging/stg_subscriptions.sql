{# One row per subscription; an account may have several. #}
{{ config(materialized='table') }}

with raw_subscriptions as (
    select * from {{ ref('raw_subscriptions') }}
),

cleaned as (
    select
        id as subscription_id,
        customer_id as account_id,
        nullif(trim(plan), '') as plan_id,
        trial_start as trial_started_at,
        trial_end as trial_ends_at,
        started_at as paid_started_at,
        current_period_end as period_ends_at,
        case lower(trim(billing_interval))
            when 'monthly' then 'month'
            when 'quarterly' then 'quarter'
            when 'yearly' then 'year'
        end as billing_interval,
        auto_renew as is_auto_renew,
        past_due_since,
        cancel_requested_at,
        ended_at,
        cast(seats as integer) as seats,
        cast(seats_used as integer) as seats_used,
        nullif(upper(trim(currency)), '') as currency,
        cast(mrr_cents * 0.01 as decimal(18, 2)) as mrr_amount
    from raw_subscriptions
)

select
    *,
    {{ to_value('cleaned.mrr_amount', 'cleaned.currency', 'cleaned.paid_started_at') }} as mrr_value

from cleaned
