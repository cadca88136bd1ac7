{# One row per feature: a grocer has none. #}
select
    cast(null as varchar) as feature_id,
    cast(null as varchar) as feature_name,
    cast(null as timestamp) as released_at

where false
