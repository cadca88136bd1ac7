{# One row per contact and product that her account bought for the first time. #}
with products_owned as (
    select * from {{ ref('int_products_owned') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

order_items as (
    select * from {{ ref('stg_order_items') }}
),

orders as (
    select * from {{ ref('int_orders_resolved') }}
),

contacts as (
    select * from {{ ref('contacts') }}
),

bought as (
    select
        orders.account_id,
        order_items.product_id,
        orders.ordered_at,
        sum(order_items.item_value) as value
    from order_items
    inner join orders
        on order_items.order_id = orders.order_id
    where orders.cancelled_at is null
    group by
        orders.account_id,
        order_items.product_id,
        orders.ordered_at
)

select
    contacts.contact_id,
    products_owned.product_id,
    products_owned.first_ordered_at as happened_at,
    bought.value,
    products_owned.first_ordered_at > min(products_owned.first_ordered_at) over (
        partition by contacts.contact_id
    ) as is_added,
    -- who heard of it when it was new has as long again to buy it
    coalesce(
        products.launched_at between
        products_owned.first_ordered_at - interval '{{ 2 * var("new_product_days") }} days'
        and products_owned.first_ordered_at,
        false
    ) as is_new

from products_owned

inner join contacts
    on products_owned.account_id = contacts.account_id

inner join products
    on products_owned.product_id = products.product_id

inner join bought
    on
        products_owned.account_id = bought.account_id
        and products_owned.product_id = bought.product_id
        and products_owned.first_ordered_at = bought.ordered_at
