{# One row per contact and stay in a stage, from when she became known; the open one is today's. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

account_stages as (
    select * from {{ ref('account_stages') }}
),

first_stages as (
    select
        account_id,
        min(started_at) as started_at
    from account_stages
    group by account_id
),

persons as (
    select
        contacts.contact_id,
        contacts.account_id,
        contacts.created_at,
        -- sales keeps no dates: a lead of theirs without a login is one since she became known
        case
            when contacts.signed_up_at is not null
                then greatest(contacts.signed_up_at, contacts.created_at)
            when contacts.sales_stage != 'subscriber' then contacts.created_at
        end as lead_since,
        first_stages.started_at as account_stage_since
    from contacts
    left join first_stages
        on contacts.account_id = first_stages.account_id
    where not contacts.is_internal
),

stays as (
    select
        contact_id,
        'subscriber' as stage,
        created_at as started_at,
        least(lead_since, account_stage_since) as ended_at
    from persons

    union all

    select
        contact_id,
        'lead' as stage,
        lead_since as started_at,
        account_stage_since as ended_at
    from persons
    where lead_since is not null

    union all

    -- the account's facts decide for all its contacts
    select
        persons.contact_id,
        account_stages.stage,
        greatest(account_stages.started_at, persons.created_at) as started_at,
        account_stages.ended_at
    from persons
    inner join account_stages
        on persons.account_id = account_stages.account_id
)

select
    contact_id,
    stage,
    started_at,
    ended_at

from stays

where
    ended_at is null
    or ended_at > started_at
