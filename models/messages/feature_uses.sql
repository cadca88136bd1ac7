{# One row per contact and feature that she has used, when she first did. #}
with events as (
    select * from {{ ref('int_events_rolled_up') }}
),

resolved as (
    select
        {{ resolved('source_contact_id') }} as contact_id,
        feature_id,
        first_occurred_at
    from events
    where feature_id is not null
)

select
    contact_id,
    feature_id,
    min(first_occurred_at) as happened_at

from resolved

group by
    contact_id,
    feature_id
