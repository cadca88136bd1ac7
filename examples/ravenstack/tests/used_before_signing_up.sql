{# Uses of a feature dated before the account signed up. #}
with events as (
    select * from {{ ref('stg_events') }}
),

contacts as (
    select * from {{ ref('stg_contacts') }}
)

select
    events.event_id,
    events.occurred_at,
    contacts.signed_up_at

from events

inner join contacts
    on events.contact_id = contacts.contact_id

where events.occurred_at < contacts.signed_up_at
