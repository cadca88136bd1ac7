{# One row per session in which something was put into the cart. #}
with clicks as (
    select * from {{ ref('stg_retentioneering__clicks') }}
),

sessions as (
    select
        session_id,
        user_id,
        min(occurred_at) filter (where event_name = 'add_to_cart') as created_at,
        max(occurred_at) filter (where event_name = 'add_to_cart') as updated_at,
        min(occurred_at) filter (where event_name = 'purchase') as ordered_at,
        count(*) filter (where event_name = 'add_to_cart') as item_count
    from clicks
    group by
        session_id,
        user_id
)

select
    session_id as cart_id,
    user_id as contact_id,
    created_at,
    updated_at,
    -- a purchase is of the session's cart even where the stream has it before the last item
    ordered_at,
    cast(null as timestamp) as emptied_at,
    cast(item_count as integer) as item_count,
    cast(null as varchar) as first_product_id,
    cast(null as varchar) as currency,
    cast(null as decimal(18, 2)) as total_amount,
    cast(null as decimal(18, 2)) as total_value,
    cast(null as varchar) as cart_url

from sessions

where item_count > 0
