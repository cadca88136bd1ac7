{#
    One row per account that ever paid and week in which somebody of it was active. A silence that
    puts an account at risk is longer than a week and cannot hide inside one, so the first and the
    last moment of each week are enough to find them all.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='week'
) }}

with daily_activity as not materialized (
    select * from {{ ref('daily_activity') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

subscribed as (
    select * from {{ ref('int_accounts_subscribed') }}
)

{% if is_incremental() -%}
    ,

    changed as (
        select distinct date_trunc('week', occurred_on) as week
        from daily_activity
        where {{ read_since_last('read_at') }}
    ),

    changed_days as (
        select unnest(range(week, week + interval '7 days', interval '1 day')) as company_day
        from changed
    )
{%- endif %}

select
    contacts.account_id,
    cast(date_trunc('week', daily_activity.occurred_on) as date) as week,
    min(daily_activity.first_occurred_at) as first_active_at,
    max(daily_activity.last_occurred_at) as last_active_at,
    max(daily_activity.read_at) as read_at

from daily_activity

inner join contacts
    on daily_activity.contact_id = contacts.contact_id

inner join subscribed
    on contacts.account_id = subscribed.account_id

where
    daily_activity.is_activity
    and not contacts.is_internal
    and subscribed.first_paid_at is not null
    {% if is_incremental() -%}
        and daily_activity.occurred_on in (
            select cast(changed_days.company_day as date) from changed_days
        )
    {%- endif %}

group by
    contacts.account_id,
    cast(date_trunc('week', daily_activity.occurred_on) as date)
