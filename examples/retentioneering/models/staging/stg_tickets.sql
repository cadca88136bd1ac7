{# One row per ticket: chats with support have a beginning, but no end and no answer. #}
select
    cast(null as varchar) as ticket_id,
    cast(null as varchar) as contact_id,
    cast(null as timestamp) as opened_at,
    cast(null as timestamp) as closed_at,
    cast(null as varchar) as priority,
    cast(null as integer) as satisfaction

where false
