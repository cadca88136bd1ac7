{# One row per product: the file says that something was bought, never what. #}
select
    cast(null as varchar) as product_id,
    cast(null as varchar) as product_name,
    cast(null as varchar) as category,
    cast(null as timestamp) as launched_at

where false
