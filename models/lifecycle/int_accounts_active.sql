{# One row per account that ever paid and week in which somebody of it was active. #}
with contacts_active as (
    select * from {{ ref('int_contacts_active') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

subscribed as (
    select * from {{ ref('int_accounts_subscribed') }}
)

select
    contacts.account_id,
    contacts_active.week,
    min(contacts_active.first_active_at) as first_active_at,
    max(contacts_active.last_active_at) as last_active_at

from contacts_active

left join merged_contacts
    on contacts_active.source_contact_id = merged_contacts.merged_contact_id

inner join contacts
    on
        coalesce(merged_contacts.contact_id, contacts_active.source_contact_id)
        = contacts.contact_id

inner join subscribed
    on contacts.account_id = subscribed.account_id

where
    not contacts.is_internal
    and subscribed.first_paid_at is not null

group by
    contacts.account_id,
    contacts_active.week
