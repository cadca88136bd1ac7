{# One row per plan. #}
with raw_plans as (
    select * from {{ ref('raw_plans') }}
)

select
    id as plan_id,
    trim(name) as plan_name,
    cast(rank as integer) as plan_rank,
    cast(seat_limit as integer) as seat_limit

from raw_plans
