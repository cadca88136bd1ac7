{# One row per event of the click stream. #}
with clicks as (
    select * from {{ ref('stg_retentioneering__clicks') }}
)

select
    session_id || '/' || strftime(occurred_at, '%Y%m%dT%H%M%S') || '/' || event_name as event_id,
    user_id as contact_id,
    event_name,
    -- a shop has no features, and none of its pages is named for what it is about
    cast(null as varchar) as feature_id,
    cast(null as varchar) as content_topic,
    -- what somebody does who cares for the goods; an entry page or an error is none of it
    event_name in (
        'search',
        'filter_results',
        'product_view',
        'compare',
        'wishlist_add',
        'review_page',
        'add_to_cart',
        'cart',
        'shipping_details',
        'payment_details',
        'purchase'
    ) as is_activity,
    occurred_at,
    cast(null as timestamp) as loaded_at

from clicks
