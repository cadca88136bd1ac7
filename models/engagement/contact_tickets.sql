{# One row per contact who ever opened a ticket. #}
with tickets as (
    select * from {{ until_now(ref('stg_tickets'), 'opened_at') }}
),

resolved as (
    select
        {{ resolved('tickets.contact_id') }} as contact_id,
        {{ happened('tickets.closed_at') }} as closed_at
    from tickets
)

select
    contact_id,
    cast(count(*) filter (where closed_at is null) as integer) as open_ticket_count

from resolved

group by contact_id
