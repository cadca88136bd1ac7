{# One row per ticket: none is recorded. #}
select
    cast(null as varchar) as ticket_id,
    cast(null as varchar) as contact_id,
    cast(null as timestamp) as opened_at,
    cast(null as timestamp) as closed_at,
    cast(null as varchar) as priority,
    cast(null as integer) as satisfaction

where false
