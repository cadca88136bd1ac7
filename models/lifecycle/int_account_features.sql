{# One row per account that tries or pays now and released feature that its plans include. #}
with subscriptions as (
    select * from {{ ref('int_subscriptions_dated') }}
),

features as (
    select * from {{ ref('stg_features') }}
),

plan_features as (
    select * from {{ ref('stg_plan_features') }}
),

-- without a single row, all plans include all features
included as (
    select
        subscriptions.account_id,
        subscriptions.trial_started_at,
        subscriptions.paid_started_at,
        features.feature_id,
        features.released_at
    from subscriptions
    cross join features
    where
        subscriptions.state != 'ended'
        and (
            not exists (select 1 from plan_features)
            or exists (
                select 1
                from plan_features
                where
                    plan_features.plan_id = subscriptions.plan_id
                    and plan_features.feature_id = features.feature_id
            )
        )
        and (features.released_at is null or features.released_at <= {{ as_of() }})
)

select
    account_id,
    feature_id,
    greatest(min(least(trial_started_at, paid_started_at)), released_at) as included_since

from included

group by
    account_id,
    feature_id,
    released_at
