{# One row per session with a purchase; no session has two. #}
with clicks as (
    select * from {{ ref('stg_retentioneering__clicks') }}
)

select
    session_id as order_id,
    user_id as contact_id,
    session_id as cart_id,
    min(occurred_at) as ordered_at,
    cast(null as timestamp) as cancelled_at,
    cast(null as varchar) as currency,
    -- unknown, and so never 0
    cast(null as decimal(18, 2)) as total_amount,
    cast(null as decimal(18, 2)) as total_value,
    cast(null as varchar) as discount_code,
    cast(null as decimal(18, 2)) as discount_value

from clicks

where event_name = 'purchase'

group by
    session_id,
    user_id
