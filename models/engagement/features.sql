{# One row per feature: how many may use it, and how many of them have. #}
with released as (
    select * from {{ ref('stg_features') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
),

counts as (
    select
        feature_id,
        cast(count(*) as integer) as eligible_count,
        cast(count(*) filter (where is_tried) as integer) as tried_count,
        cast(count(*) filter (where is_retained) as integer) as retained_count,
        cast(count(*) filter (where is_lapsed) as integer) as lapsed_count
    from feature_adoption
    group by feature_id
)

select
    released.feature_id,
    released.feature_name,
    released.released_at,
    coalesce(counts.eligible_count, 0) as eligible_count,
    coalesce(counts.tried_count, 0) as tried_count,
    coalesce(counts.retained_count, 0) as retained_count,
    coalesce(counts.lapsed_count, 0) as lapsed_count,
    cast(round(counts.tried_count / counts.eligible_count, 4) as decimal(5, 4)) as adoption_rate

from released

left join counts
    on released.feature_id = counts.feature_id
