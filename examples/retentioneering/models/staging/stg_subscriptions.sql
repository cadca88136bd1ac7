{# One row per subscription: a shop has none. #}
select
    cast(null as varchar) as subscription_id,
    cast(null as varchar) as account_id,
    cast(null as varchar) as plan_id,
    cast(null as timestamp) as trial_started_at,
    cast(null as timestamp) as trial_ends_at,
    cast(null as timestamp) as paid_started_at,
    cast(null as timestamp) as period_ends_at,
    cast(null as varchar) as billing_interval,
    cast(null as boolean) as is_auto_renew,
    cast(null as timestamp) as past_due_since,
    cast(null as timestamp) as cancel_requested_at,
    cast(null as timestamp) as ended_at,
    cast(null as integer) as seats,
    cast(null as integer) as seats_used,
    cast(null as varchar) as currency,
    cast(null as decimal(18, 2)) as mrr_amount,
    cast(null as decimal(18, 2)) as mrr_value

where false
