{# One row per account with an order that stands: what all its contacts bought. #}
with orders as (
    select * from {{ ref('int_orders_resolved') }}
)

select
    account_id,
    cast(count(*) as integer) as orders_count,
    cast(sum(total_value) as decimal(18, 2)) as orders_value,
    min(ordered_at) as first_order_at,
    max(ordered_at) as last_order_at,
    max(ordered_at) filter (where is_discounted) as last_discount_at

from orders

where cancelled_at is null

group by account_id
