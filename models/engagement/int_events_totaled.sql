{# One row per recorded contact id and thing ever done: a feature used, or an event without one. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['source_contact_id', 'action']
) }}

with rolled_up as (
    select * from {{ ref('int_events_rolled_up') }}
),

-- read twice by a later run, each time a little of it
actions as not materialized (
    select
        source_contact_id,
        coalesce(feature_id, event_name) as action,
        feature_id,
        is_activity,
        event_count,
        first_occurred_at,
        last_occurred_at,
        read_at
    from rolled_up
    where first_occurred_at <= {{ as_of() }}
)

{% if is_incremental() -%}
    ,

    changed as (
        select distinct
            source_contact_id,
            action
        from actions
        where {{ read_since_last('read_at') }}
    )
{%- endif %}

select
    source_contact_id,
    action,
    feature_id,
    cast(sum(event_count) as bigint) as event_count,
    min(first_occurred_at) as first_occurred_at,
    max(last_occurred_at) as last_occurred_at,
    min(first_occurred_at) filter (where is_activity) as first_active_at,
    max(last_occurred_at) filter (where is_activity) as last_active_at,
    max(read_at) as read_at

from actions

{% if is_incremental() -%}
    where
        exists (
            select 1
            from changed
            where
                changed.source_contact_id = actions.source_contact_id
                and changed.action = actions.action
        )
{%- endif %}

group by
    source_contact_id,
    action,
    feature_id
