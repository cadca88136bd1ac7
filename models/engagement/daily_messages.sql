{# One row per recorded contact id, address, channel, message event, message and company day. #}
{{ config(materialized='view') }}

with rolled_up as (
    select * from {{ ref('int_message_events_rolled_up') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

resolved as (
    select
        coalesce(merged_contacts.contact_id, rolled_up.source_contact_id) as contact_id,
        rolled_up.source_contact_id,
        rolled_up.address,
        rolled_up.channel,
        rolled_up.event_type,
        rolled_up.message,
        rolled_up.occurred_on,
        rolled_up.event_count,
        rolled_up.first_occurred_at,
        rolled_up.last_occurred_at
    from rolled_up
    left join merged_contacts
        on rolled_up.source_contact_id = merged_contacts.merged_contact_id
    -- an earlier as_of than that of the last run finds days that it must not know yet
    where rolled_up.first_occurred_at <= {{ as_of() }}
)

select
    resolved.contact_id,
    resolved.source_contact_id,
    coalesce(
        resolved.address,
        case when resolved.channel = 'email' then contacts.email end
    ) as address,
    resolved.channel,
    resolved.event_type,
    resolved.message,
    resolved.occurred_on,
    resolved.event_count,
    resolved.first_occurred_at,
    resolved.last_occurred_at

from resolved

left join contacts
    on resolved.contact_id = contacts.contact_id
