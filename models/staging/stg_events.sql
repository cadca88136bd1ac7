{# One row per thing that a contact did in the product, the shop or the content. #}
with raw_events as (
    select * from {{ ref('raw_events') }}
)

select
    id as event_id,
    contact_id,
    event as event_name,
    nullif(feature, '') as feature_id,
    nullif(topic, '') as content_topic,
    -- to look around or to sign in is not yet work with the product
    event in ('feature_used', 'project_created', 'report_shared', 'teammate_invited')
        as is_activity,
    occurred_at,
    received_at as loaded_at

from raw_events
