{# One row per contact and thing ever done: a feature used, or an event without one. #}
{{ config(materialized='view') }}

with totaled as (
    select * from {{ ref('int_events_totaled') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
),

-- all ids of everybody who has several
ids as (
    select
        merged_contact_id as source_contact_id,
        contact_id
    from merged_contacts

    union

    select
        contact_id as source_contact_id,
        contact_id
    from merged_contacts
)

select
    source_contact_id as contact_id,
    action,
    feature_id,
    event_count,
    first_occurred_at,
    last_occurred_at,
    first_active_at,
    last_active_at

from totaled

where
    not exists (
        select 1
        from ids
        where ids.source_contact_id = totaled.source_contact_id
    )

union all

select
    ids.contact_id,
    totaled.action,
    totaled.feature_id,
    cast(sum(totaled.event_count) as bigint) as event_count,
    min(totaled.first_occurred_at) as first_occurred_at,
    max(totaled.last_occurred_at) as last_occurred_at,
    min(totaled.first_active_at) as first_active_at,
    max(totaled.last_active_at) as last_active_at

from totaled

inner join ids
    on totaled.source_contact_id = ids.source_contact_id

group by
    ids.contact_id,
    totaled.action,
    totaled.feature_id
