{# One row per cart: what was left behind in a shop, no till records. #}
select
    cast(null as varchar) as cart_id,
    cast(null as varchar) as contact_id,
    cast(null as timestamp) as created_at,
    cast(null as timestamp) as updated_at,
    cast(null as timestamp) as ordered_at,
    cast(null as timestamp) as emptied_at,
    cast(null as integer) as item_count,
    cast(null as varchar) as first_product_id,
    cast(null as varchar) as currency,
    cast(null as decimal(18, 2)) as total_amount,
    cast(null as decimal(18, 2)) as total_value,
    cast(null as varchar) as cart_url

where false
