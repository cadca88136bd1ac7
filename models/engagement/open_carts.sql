{# One row per contact with an open cart: the one that was changed last. #}
with carts as (
    select * from {{ until_now(ref('stg_carts'), 'updated_at') }}
),

orders as (
    select * from {{ ref('int_orders_resolved') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

filled_carts as (
    select
        carts.cart_id,
        {{ resolved('carts.contact_id') }} as contact_id,
        carts.updated_at,
        carts.item_count,
        carts.first_product_id,
        carts.currency,
        carts.total_amount,
        carts.total_value,
        carts.cart_url
    from carts
    where
        carts.item_count >= 1
        and {{ happened('ordered_at') }} is null
        -- a cart that was emptied may have been filled again
        and (carts.emptied_at is null or carts.emptied_at < carts.updated_at)
),

open_carts as (
    select
        filled_carts.cart_id,
        filled_carts.contact_id,
        filled_carts.updated_at,
        filled_carts.item_count,
        filled_carts.first_product_id,
        filled_carts.currency,
        filled_carts.total_amount,
        filled_carts.total_value,
        filled_carts.cart_url
    from filled_carts
    where
        not exists (
            select 1
            from orders
            where
                orders.contact_id = filled_carts.contact_id
                and orders.ordered_at >= filled_carts.updated_at
        )
        and not exists (
            select 1
            from orders
            where orders.cart_id = filled_carts.cart_id
        )
    qualify row_number() over (
        partition by filled_carts.contact_id
        order by filled_carts.updated_at desc, filled_carts.cart_id desc
    ) = 1
)

select
    open_carts.contact_id,
    open_carts.cart_id,
    open_carts.updated_at,
    open_carts.item_count,
    open_carts.first_product_id as product_id,
    products.product_name,
    open_carts.currency,
    open_carts.total_amount,
    open_carts.total_value,
    open_carts.cart_url

from open_carts

left join products
    on open_carts.first_product_id = products.product_id
