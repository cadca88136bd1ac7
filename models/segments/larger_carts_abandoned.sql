{# Of the carts that were left, those that are worth a discount. #}
with carts_abandoned as (
    select * from {{ ref('carts_abandoned') }}
)

select
    contact_id,
    cart_id,
    cart_updated_at,
    product_name,
    cart_total_value,
    cart_url

from carts_abandoned

where cart_total_value >= {{ var('discount_cart_value') }}
