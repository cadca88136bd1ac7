{# One row per account and product that it bought in an order that stands. #}
with order_items as (
    select * from {{ ref('stg_order_items') }}
),

orders as (
    select * from {{ ref('int_orders_resolved') }}
),

products as (
    select * from {{ ref('stg_products') }}
)

select
    orders.account_id,
    order_items.product_id,
    products.product_name,
    products.category,
    min(orders.ordered_at) as first_ordered_at

from order_items

inner join orders
    on order_items.order_id = orders.order_id

inner join products
    on order_items.product_id = products.product_id

where orders.cancelled_at is null

group by
    orders.account_id,
    order_items.product_id,
    products.product_name,
    products.category
