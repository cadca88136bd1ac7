{# One row per line of an order: the file never says what was bought. #}
select
    cast(null as varchar) as order_item_id,
    cast(null as varchar) as order_id,
    cast(null as varchar) as product_id,
    cast(null as integer) as quantity,
    cast(null as decimal(18, 2)) as item_value

where false
