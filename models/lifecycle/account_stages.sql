{# One row per account and stay in one of the eight stages that its own facts decide. #}
with moments as (
    select * from {{ ref('int_account_moments_dated') }}
),

staged as (
    select
        account_id,
        moment,
        case
            when is_past_due then 'past_due'

            -- who ever paid for a subscription
            when first_paid_at is not null and not is_paid then 'churned'
            when
                paid_since >= moment - interval '{{ var("new_days") }} days'
                and paid_since >= paid_before_until
                + interval '{{ var("reactivation_gap_days") }} days'
                then 'reactivated'
            when first_paid_at >= moment - interval '{{ var("new_days") }} days' then 'new'
            when
                first_paid_at is not null
                and last_active_at < moment - interval '{{ var("at_risk_days") }} days'
                then 'at_risk'
            when first_paid_at is not null then 'active'

            -- else who ever ordered
            when last_order_at < moment - interval '{{ var("order_churn_days") }} days'
                then 'churned'
            when
                ordering_since >= moment - interval '{{ var("new_days") }} days'
                and ordering_since > ordered_before_until
                + interval '{{ var("order_churn_days") }} days'
                then 'reactivated'
            when first_order_at >= moment - interval '{{ var("new_days") }} days' then 'new'
            when last_order_at < moment - interval '{{ var("order_at_risk_days") }} days'
                then 'at_risk'
            when first_order_at is not null then 'active'

            -- else who ever tried
            when is_in_trial then 'trial'
            when first_tried_at is not null then 'trial_expired'
        end as stage
    from moments
),

compared as (
    select
        account_id,
        moment,
        stage,
        lag(stage) over (partition by account_id order by moment) as stage_before
    from staged
    where stage is not null
)

select
    account_id,
    stage,
    moment as started_at,
    lead(moment) over (partition by account_id order by moment) as ended_at

from compared

where stage is distinct from stage_before
