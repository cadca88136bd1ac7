{#
    One row per account id that went away with its contact: in a shop the account is the contact,
    so that a merged contact takes her account along.
#}
with merged_contacts as (
    select * from {{ ref('merged_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

accounts as (
    select * from {{ ref('stg_accounts') }}
)

select
    merged_contacts.merged_contact_id as merged_account_id,
    contacts.account_id

from merged_contacts

inner join contacts
    on merged_contacts.contact_id = contacts.contact_id

-- a company that happens to have the same id as a merged contact stays what it is
where
    not exists (
        select 1
        from accounts
        where accounts.account_id = merged_contacts.merged_contact_id
    )
    and not exists (
        select 1
        from contacts as residents
        where residents.account_id = merged_contacts.merged_contact_id
    )
