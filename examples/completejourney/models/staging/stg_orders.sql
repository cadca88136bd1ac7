{# One row per basket of which the sample has a line. #}
with transactions as (
    select * from {{ source('completejourney', 'transactions_sample') }}
),

baskets as (
    select
        trim(basket_id) as order_id,
        trim(household_id) as contact_id,
        min(cast(transaction_timestamp as timestamp)) as ordered_at,
        cast(sum(
            cast(sales_value as decimal(18, 2)) - cast(coupon_disc as decimal(18, 2))
        ) as decimal(18, 2)) as total_amount,
        cast(sum(
            cast(coupon_disc as decimal(18, 2)) + cast(coupon_match_disc as decimal(18, 2))
        ) as decimal(18, 2)) as discount_value
    from transactions
    group by
        trim(basket_id),
        trim(household_id)
)

select
    order_id,
    contact_id,
    cast(null as varchar) as cart_id,
    ordered_at,
    cast(null as timestamp) as cancelled_at,
    '{{ var("currency") }}' as currency,
    total_amount,
    total_amount as total_value,
    -- redemptions name a day and no basket, so no code can be given to one
    cast(null as varchar) as discount_code,
    discount_value

from baskets
