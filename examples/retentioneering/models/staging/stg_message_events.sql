{# One row per thing that happened to a message: none is recorded. #}
select
    cast(null as varchar) as message_event_id,
    cast(null as varchar) as contact_id,
    cast(null as varchar) as address,
    cast(null as varchar) as channel,
    cast(null as varchar) as event_type,
    cast(null as varchar) as message,
    cast(null as varchar) as decision_id,
    cast(null as timestamp) as occurred_at

where false
