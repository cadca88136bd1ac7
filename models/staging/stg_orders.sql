{# One row per order. #}
{{ config(materialized='table') }}

with raw_orders as (
    select * from {{ ref('raw_orders') }}
),

-- the shop repeats rows; the one that knows most of the order is the later one
latest_versions as (
    select *
    from raw_orders
    qualify
        row_number() over (
            partition by id
            order by
                cancelled_at asc nulls last,
                discount_code asc nulls last,
                currency asc nulls last,
                total_amount asc nulls last
        ) = 1
),

cleaned as (
    select
        id as order_id,
        contact_id,
        nullif(trim(cart_id), '') as cart_id,
        ordered_at,
        cancelled_at,
        nullif(upper(trim(currency)), '') as currency,
        cast(total_amount as decimal(18, 2)) as total_amount,
        nullif(upper(trim(discount_code)), '') as discount_code,
        cast(discount_amount as decimal(18, 2)) as discount_amount
    from latest_versions
)

select
    cleaned.order_id,
    cleaned.contact_id,
    cleaned.cart_id,
    cleaned.ordered_at,
    cleaned.cancelled_at,
    cleaned.currency,
    cleaned.total_amount,
    {{ to_value('cleaned.total_amount', 'cleaned.currency', 'cleaned.ordered_at') }} as total_value,
    cleaned.discount_code,
    {{ to_value('cleaned.discount_amount', 'cleaned.currency', 'cleaned.ordered_at') }}
        as discount_value

from cleaned
