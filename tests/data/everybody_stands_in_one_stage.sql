{# Contacts who stand in no stage, or in several at once. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

open_stays as (
    select * from {{ ref('stage_history') }}
    where ended_at is null
)

select
    contacts.contact_id,
    count(open_stays.contact_id) as open_stays_count

from contacts

left join open_stays
    on contacts.contact_id = open_stays.contact_id

group by contacts.contact_id

having count(open_stays.contact_id) != 1
