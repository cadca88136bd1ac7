{# One row per contact, company day and feature that she used. #}
with events as (
    select * from {{ ref('int_events_rolled_up') }}
)

select
    {{ resolved('source_contact_id') }} as contact_id,
    last_occurred_at as happened_at

from events

where feature_id is not null
