{# One row per line of an order. #}
{{ config(materialized='table') }}

with raw_order_items as (
    select * from {{ ref('raw_order_items') }}
),

orders as (
    select * from {{ ref('stg_orders') }}
),

priced as (
    select
        raw_order_items.id as order_item_id,
        raw_order_items.order_id,
        raw_order_items.product_id,
        cast(raw_order_items.quantity as integer) as quantity,
        cast(raw_order_items.amount as decimal(18, 2)) as item_amount,
        -- a line has the currency and the day of its order
        orders.currency,
        orders.ordered_at
    from raw_order_items
    left join orders
        on raw_order_items.order_id = orders.order_id
)

select
    priced.order_item_id,
    priced.order_id,
    priced.product_id,
    priced.quantity,
    {{ to_value('priced.item_amount', 'priced.currency', 'priced.ordered_at') }} as item_value

from priced
