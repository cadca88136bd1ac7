{# One row per basket and product in the sample. #}
with transactions as (
    select * from {{ source('completejourney', 'transactions_sample') }}
)

select
    trim(basket_id) || '/' || trim(product_id) as order_item_id,
    trim(basket_id) as order_id,
    trim(product_id) as product_id,
    cast(cast(quantity as decimal(18, 2)) as integer) as quantity,
    -- before the shop's own part of a coupon was taken off
    cast(
        cast(sales_value as decimal(18, 2)) + cast(coupon_match_disc as decimal(18, 2))
        as decimal(18, 2)
    ) as item_value

from transactions
