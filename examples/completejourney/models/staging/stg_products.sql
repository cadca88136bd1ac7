{# One row per product that was bought in the sample. #}
with transactions as (
    select * from {{ source('completejourney', 'transactions_sample') }}
)

select distinct
    trim(product_id) as product_id,
    -- the files have no names
    trim(product_id) as product_name,
    cast(null as varchar) as category,
    cast(null as timestamp) as launched_at

from transactions
