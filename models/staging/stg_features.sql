{# One row per feature of the product. #}
with raw_features as (
    select * from {{ ref('raw_features') }}
)

select
    id as feature_id,
    trim(name) as feature_name,
    released_at

from raw_features
