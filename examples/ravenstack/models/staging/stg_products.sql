{# One row per product: this business sells subscriptions only. #}
select
    cast(null as varchar) as product_id,
    cast(null as varchar) as product_name,
    cast(null as varchar) as category,
    cast(null as timestamp) as launched_at

where false
