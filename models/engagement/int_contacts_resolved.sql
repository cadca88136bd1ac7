{# One row per contact that was known by as_of and not merged into another; staff included. #}
with contacts as (
    select * from {{ until_now(ref('stg_contacts'), 'created_at') }}
),

recorded as (
    select
        {{ resolved('contacts.contact_id') }} as contact_id,
        contacts.created_at,
        {{ happened('contacts.signed_up_at') }} as signed_up_at
    from contacts
),

persons as (
    select
        contact_id,
        min(created_at) as created_at,
        min(signed_up_at) as signed_up_at
    from recorded
    group by contact_id
),

ranked as (
    select
        contacts.contact_id,
        contacts.account_id,
        coalesce(contacts.is_internal, false) as is_internal,
        persons.created_at,
        persons.signed_up_at,
        case contacts.role
            when 'billing' then 1
            when 'owner' then 2
            when 'admin' then 3
            when 'member' then 5
            else 4
        end as authority
    from contacts
    inner join persons
        on contacts.contact_id = persons.contact_id
),

placed as (
    select
        contact_id,
        is_internal,
        created_at,
        signed_up_at,
        authority,
        min(authority) over (partition by account_id, is_internal) as best_authority,
        row_number() over (
            partition by account_id, is_internal
            order by authority, created_at, contact_id
        ) as place
    from ranked
)

select
    contacts.contact_id,
    contacts.account_id,
    {{ normalized('contacts.email') }} as email,
    contacts.first_name,
    -- where nobody is known to be in charge, the first contact without a role is the owner
    case when placed.authority = 4 and placed.place = 1 then 'owner' else contacts.role end as role,
    placed.authority = placed.best_authority
    and (placed.authority < 4 or (placed.authority = 4 and placed.place = 1)) as is_billing_contact,
    contacts.job_title,
    contacts.country,
    contacts.language,
    contacts.time_zone,
    contacts.acquisition_source,
    contacts.sales_stage,
    placed.created_at,
    placed.signed_up_at,
    placed.is_internal

from contacts

inner join placed
    on contacts.contact_id = placed.contact_id
