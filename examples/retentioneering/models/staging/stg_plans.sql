{# One row per plan: a shop has none. #}
select
    cast(null as varchar) as plan_id,
    cast(null as varchar) as plan_name,
    cast(null as integer) as plan_rank,
    cast(null as integer) as seat_limit

where false
