{# One row per cart in its latest state. #}
{{ config(materialized='table') }}

with raw_carts as (
    select * from {{ ref('raw_carts') }}
),

cleaned as (
    select
        id as cart_id,
        contact_id,
        created_at,
        updated_at,
        ordered_at,
        emptied_at,
        cast(item_count as integer) as item_count,
        nullif(trim(first_product_id), '') as first_product_id,
        nullif(upper(trim(currency)), '') as currency,
        cast(total_amount as decimal(18, 2)) as total_amount,
        nullif(trim(url), '') as cart_url
    from raw_carts
)

select
    cleaned.cart_id,
    cleaned.contact_id,
    cleaned.created_at,
    cleaned.updated_at,
    cleaned.ordered_at,
    cleaned.emptied_at,
    cleaned.item_count,
    cleaned.first_product_id,
    cleaned.currency,
    cleaned.total_amount,
    {{ to_value('cleaned.total_amount', 'cleaned.currency', 'cleaned.updated_at') }} as total_value,
    cleaned.cart_url

from cleaned
