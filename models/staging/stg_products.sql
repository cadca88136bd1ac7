{# One row per product or add-on. #}
with raw_products as (
    select * from {{ ref('raw_products') }}
)

select
    id as product_id,
    trim(name) as product_name,
    nullif(lower(trim(category)), '') as category,
    launched_at

from raw_products
