{# One row per plan and feature that it includes. #}
with raw_plan_features as (
    select * from {{ ref('raw_plan_features') }}
)

select
    plan_id,
    feature_id

from raw_plan_features
