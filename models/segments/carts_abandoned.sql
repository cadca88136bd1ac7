{# Contacts who left something in a cart and whose account had no discount lately. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

open_carts as (
    select * from {{ ref('open_carts') }}
)

select
    contacts.contact_id,
    open_carts.cart_id,
    open_carts.updated_at as cart_updated_at,
    open_carts.item_count,
    open_carts.product_id,
    open_carts.product_name,
    open_carts.currency as cart_currency,
    open_carts.total_amount as cart_total_amount,
    open_carts.total_value as cart_total_value,
    open_carts.cart_url

from contacts

inner join open_carts
    on contacts.contact_id = open_carts.contact_id

where
    {{ is_abandoned_cart('open_carts.updated_at') }}
    and (
        contacts.last_discount_at is null
        or {{ longer_ago('contacts.last_discount_at', var('discount_days')) }}
    )
