{# One row per plan: a grocer has none. #}
select
    cast(null as varchar) as plan_id,
    cast(null as varchar) as plan_name,
    cast(null as integer) as plan_rank,
    cast(null as integer) as seat_limit

where false
