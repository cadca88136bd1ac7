{# One row per recorded contact id, company day and kind of event: stg_events added up. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='occurred_on'
) }}

with events as (
    select * from {{ days_to_read(
        ref('stg_events'), 'occurred_at', 'coalesce(loaded_at, occurred_at)'
    ) }}
)

select
    contact_id as source_contact_id,
    {{ company_date('occurred_at') }} as occurred_on,
    event_name,
    feature_id,
    content_topic,
    coalesce(is_activity, false) as is_activity,
    count(*) as event_count,
    min(occurred_at) as first_occurred_at,
    max(occurred_at) as last_occurred_at,
    {{ as_of() }} as read_at

from events

group by
    contact_id,
    {{ company_date('occurred_at') }},
    event_name,
    feature_id,
    content_topic,
    coalesce(is_activity, false)
