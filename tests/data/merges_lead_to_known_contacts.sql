{# Contacts who would vanish: merged into an id that is not in stg_contacts, or not yet. #}
with contacts as (
    select * from {{ until_now(ref('stg_contacts'), 'created_at') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
),

persons as (
    select * from {{ ref('int_contacts_resolved') }}
)

select
    contacts.contact_id,
    merged_contacts.contact_id as merged_into

from contacts

inner join merged_contacts
    on contacts.contact_id = merged_contacts.merged_contact_id

left join persons
    on merged_contacts.contact_id = persons.contact_id

where persons.contact_id is null
