{# One row per feature: how many may use it, and how many of them have. #}
with released as (
    select * from {{ ref('stg_features') }}
),

features_used as (
    select * from {{ ref('int_features_used') }}
),

counts as (
    select
        feature_id,
        cast(count(*) as integer) as eligible_count,
        cast(count(use_count) as integer) as tried_count
    from features_used
    where eligible_since is not null
    group by feature_id
)

select
    released.feature_id,
    released.feature_name,
    released.released_at,
    coalesce(counts.eligible_count, 0) as eligible_count,
    coalesce(counts.tried_count, 0) as tried_count,
    cast(round(counts.tried_count / counts.eligible_count, 4) as decimal(5, 4)) as adoption_rate

from released

left join counts
    on released.feature_id = counts.feature_id
