{# One row per contact, channel and purpose on which the contact or her address has spoken. #}
with statements as (
    select * from {{ ref('int_consent_statements') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

own_words as (
    select
        contacts.contact_id,
        contacts.email,
        statements.channel,
        statements.purpose,
        statements.is_granted,
        statements.recorded_at,
        statements.source
    from statements
    inner join contacts
        on statements.contact_id = contacts.contact_id
    where statements.is_last_of_contact
),

refused_addresses as (
    select
        address,
        channel,
        purpose,
        recorded_at,
        source
    from statements
    where
        is_last_for_address
        and not is_granted

    union all

    select
        email as address,
        channel,
        purpose,
        recorded_at,
        source
    from own_words
    where
        channel = 'email'
        and not is_granted
),

-- what an address refuses, all its contacts refuse
refusals as (
    select
        contacts.contact_id,
        refused_addresses.channel,
        refused_addresses.purpose,
        refused_addresses.recorded_at,
        refused_addresses.source
    from refused_addresses
    inner join contacts
        on refused_addresses.address = contacts.email
    qualify row_number() over (
        partition by contacts.contact_id, refused_addresses.channel, refused_addresses.purpose
        order by refused_addresses.recorded_at desc, refused_addresses.source asc
    ) = 1
)

select
    coalesce(refusals.contact_id, own_words.contact_id) as contact_id,
    coalesce(refusals.channel, own_words.channel) as channel,
    coalesce(refusals.purpose, own_words.purpose) as purpose,
    refusals.contact_id is null and own_words.is_granted as is_granted,
    coalesce(refusals.recorded_at, own_words.recorded_at) as recorded_at,
    case
        when refusals.contact_id is not null then refusals.source else own_words.source
    end as source

from own_words

full join refusals
    on
        own_words.contact_id = refusals.contact_id
        and own_words.channel = refusals.channel
        and own_words.purpose = refusals.purpose
