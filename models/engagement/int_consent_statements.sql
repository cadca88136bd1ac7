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

resolved as (
    select
        {{ resolved('recorded.contact_id') }} as contact_id,
        {{ normalized('recorded.channel') }} as channel,
        {{ normalized('recorded.purpose') }} as purpose,
        coalesce(is_granted, false) as is_granted,
        recorded.recorded_at,
        recorded.source
    from recorded
),

statements as (
    select
        resolved.contact_id,
        case when resolved.channel = 'email' then contacts.email end as address,
        resolved.channel,
        resolved.purpose,
        resolved.is_granted,
        resolved.recorded_at,
        resolved.source
    from resolved
    inner join contacts
        on resolved.contact_id = contacts.contact_id

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
        order by recorded_at desc, is_granted asc, source asc, address asc
    ) = 1 as is_last_of_contact,
    address is not null and row_number() over (
        partition by address, channel, purpose
        order by recorded_at desc, is_granted asc, source asc, contact_id asc
    ) = 1 as is_last_for_address

from statements
