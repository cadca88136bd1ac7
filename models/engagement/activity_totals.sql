{# One row per contact and thing ever done: the use of a feature, or an event without one. #}
with daily_activity as (
    select * from {{ ref('daily_activity') }}
)

select
    contact_id,
    coalesce(feature_id, event_name) as action,
    feature_id,
    cast(sum(event_count) as bigint) as event_count,
    min(first_occurred_at) as first_occurred_at,
    max(last_occurred_at) as last_occurred_at,
    min(first_occurred_at) filter (where is_activity) as first_active_at,
    max(last_occurred_at) filter (where is_activity) as last_active_at

from daily_activity

group by
    contact_id,
    coalesce(feature_id, event_name),
    feature_id
