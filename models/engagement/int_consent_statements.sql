{# One row per statement for or against being written to, by a contact or for an address. #}
with recorded as (
    select * from {{ until_now(ref('stg_consents'), 'recorded_at') }}
),

daily_messages as (
    select * from {{ ref('daily_messages') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

statements as (
    select
        contacts.contact_id,
        case when recorded.channel = 'email' then contacts.email end as address,
        recorded.channel,
        recorded.purpose,
        coalesce(recorded.is_granted, false) as is_granted,
        recorded.recorded_at,
        recorded.source
    from recorded
    inner join contacts
        on {{ resolved('recorded.contact_id') }} = contacts.contact_id

    union all

    select
        contact_id,
        case when channel = 'email' then address end as address,
        channel,
        'marketing' as purpose,
        false as is_granted,
        last_occurred_at as recorded_at,
        event_type as source
    from daily_messages
    where event_type in ('unsubscribed', 'complained')
)

-- the last word is what counts; of two words at the same moment the stricter
select
    contact_id,
    address,
    channel,
    purpose,
    is_granted,
    recorded_at,
    source,
    contact_id is not null and row_number() over (
        partition by contact_id, channel, purpose
        order by recorded_at desc, is_granted, source, address
    ) = 1 as is_last_of_contact,
    address is not null and row_number() over (
        partition by address, channel, purpose
        order by recorded_at desc, is_granted, source, contact_id
    ) = 1 as is_last_for_address

from statements
