{# One row per recorded contact id, address, channel, message event, message and company day. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='occurred_on'
) }}

with message_events as (
    select * from {{ days_to_read(ref('stg_message_events'), 'occurred_at', 'occurred_at') }}
)

select
    contact_id as source_contact_id,
    {{ normalized('address') }} as address,
    {{ normalized('channel') }} as channel,
    {{ normalized('event_type') }} as event_type,
    message,
    {{ company_date('occurred_at') }} as occurred_on,
    count(*) as event_count,
    min(occurred_at) as first_occurred_at,
    max(occurred_at) as last_occurred_at,
    {{ as_of() }} as read_at

from message_events

group by
    contact_id,
    {{ normalized('address') }},
    {{ normalized('channel') }},
    {{ normalized('event_type') }},
    message,
    {{ company_date('occurred_at') }}
