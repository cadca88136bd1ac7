{# One row per ticket. #}
with support_tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
)

select
    trim(ticket_id) as ticket_id,
    trim(account_id) as contact_id,
    {{ day_first('submitted_at') }} as opened_at,
    strptime(nullif(trim(closed_at), ''), '%d-%m-%Y %H:%M') as closed_at,
    case lower(trim(priority))
        when 'medium' then 'normal'
        else nullif(lower(trim(priority)), '')
    end as priority,
    cast(nullif(trim(satisfaction_score), '') as integer) as satisfaction

from support_tickets
