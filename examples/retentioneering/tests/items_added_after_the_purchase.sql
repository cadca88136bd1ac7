{# Sessions in which something went into the cart after the purchase. #}
with carts as (
    select * from {{ ref('stg_carts') }}
)

select
    cart_id,
    ordered_at,
    updated_at

from carts

where updated_at > ordered_at
