{# One row per order: this business sells subscriptions only. #}
select
    cast(null as varchar) as order_id,
    cast(null as varchar) as contact_id,
    cast(null as varchar) as cart_id,
    cast(null as timestamp) as ordered_at,
    cast(null as timestamp) as cancelled_at,
    cast(null as varchar) as currency,
    cast(null as decimal(18, 2)) as total_amount,
    cast(null as decimal(18, 2)) as total_value,
    cast(null as varchar) as discount_code,
    cast(null as decimal(18, 2)) as discount_value

where false
