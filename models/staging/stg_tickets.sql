{# One row per ticket of customer service. #}
with raw_tickets as (
    select * from {{ ref('raw_tickets') }}
)

select
    id as ticket_id,
    requester_id as contact_id,
    opened_at,
    closed_at,
    nullif(lower(trim(priority)), '') as priority,
    cast(satisfaction as integer) as satisfaction

from raw_tickets
