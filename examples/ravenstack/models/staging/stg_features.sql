{# One row per feature that was ever used; one that nobody used is not known. #}
with feature_usage as (
    select * from {{ source('ravenstack', 'feature_usage') }}
)

select distinct
    trim(feature_name) as feature_id,
    trim(feature_name) as feature_name,
    -- beta is said of a use and not of a feature, and no date of any release is given
    cast(null as timestamp) as released_at

from feature_usage
