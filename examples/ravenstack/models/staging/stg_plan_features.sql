{# One row per plan and feature: none is given, so all plans include all features. #}
select
    cast(null as varchar) as plan_id,
    cast(null as varchar) as feature_id

where false
