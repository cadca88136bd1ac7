{# Contacts that are neither in contacts nor in internal_contacts, or in both. #}
with persons as (
    select * from {{ ref('int_contacts_resolved') }}
),

contacts as (
    select * from {{ ref('contacts') }}
),

internal_contacts as (
    select * from {{ ref('internal_contacts') }}
),

listed as (
    select contact_id from contacts

    union all

    select contact_id from internal_contacts
)

select persons.contact_id

from persons

left join listed
    on persons.contact_id = listed.contact_id

group by persons.contact_id

having count(listed.contact_id) != 1
