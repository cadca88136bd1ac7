{# One row per plan and feature: a shop has none. #}
select
    cast(null as varchar) as plan_id,
    cast(null as varchar) as feature_id

where false
