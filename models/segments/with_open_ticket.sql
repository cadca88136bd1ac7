{# Contacts who wait for an answer from customer service. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    open_ticket_count

from contacts

where open_ticket_count >= 1
