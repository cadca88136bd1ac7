{# One row per recorded contact id, company day and kind of event, with the contact's id of today. #}
{{ config(materialized='view') }}

with rolled_up as (
    select * from {{ ref('int_events_rolled_up') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
)

select
    coalesce(merged_contacts.contact_id, rolled_up.source_contact_id) as contact_id,
    rolled_up.source_contact_id,
    rolled_up.occurred_on,
    rolled_up.event_name,
    rolled_up.feature_id,
    rolled_up.content_topic,
    rolled_up.is_activity,
    rolled_up.event_count,
    rolled_up.first_occurred_at,
    rolled_up.last_occurred_at,
    rolled_up.read_at

from rolled_up

left join merged_contacts
    on rolled_up.source_contact_id = merged_contacts.merged_contact_id

-- an earlier as_of than that of the last run finds days that it must not know yet
where rolled_up.first_occurred_at <= {{ as_of() }}
