{# One row per plan that was ever sold. #}
with subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

plans as (
    select distinct trim(plan_tier) as plan_id
    from subscriptions
)

select
    plan_id,
    plan_id as plan_name,
    -- in the order of the price of a seat: 19, 49 and 199 a month
    case plan_id
        when 'Basic' then 1
        when 'Pro' then 2
        when 'Enterprise' then 3
    end as plan_rank,
    cast(null as integer) as seat_limit

from plans
