{#
    One row per recorded contact id and week in which it was active. A silence that puts an
    account at risk is longer than a week and cannot hide inside one, so the first and the last
    moment of each week are enough to find them all.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='week'
) }}

with rolled_up as not materialized (
    select * from {{ ref('int_events_rolled_up') }}
)

{% if is_incremental() -%}
    ,

    changed as (
        select distinct date_trunc('week', occurred_on) as week
        from rolled_up
        where {{ read_since_last('read_at') }}
    ),

    changed_days as (
        select unnest(range(week, week + interval '7 days', interval '1 day')) as company_day
        from changed
    )
{%- endif %}

select
    source_contact_id,
    cast(date_trunc('week', occurred_on) as date) as week,
    min(first_occurred_at) as first_active_at,
    max(last_occurred_at) as last_active_at,
    max(read_at) as read_at

from rolled_up

where
    is_activity
    and first_occurred_at <= {{ as_of() }}
    {% if is_incremental() -%}
        and occurred_on in (select cast(changed_days.company_day as date) from changed_days)
    {%- endif %}

group by
    source_contact_id,
    cast(date_trunc('week', occurred_on) as date)
