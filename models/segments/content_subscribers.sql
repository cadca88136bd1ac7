{# Contacts who opted in to be written to and have no login. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

consents as (
    select * from {{ ref('consents') }}
),

opted_in as (
    select
        contact_id,
        max(recorded_at) as opted_in_at
    from consents
    where
        purpose = 'marketing'
        and is_granted
    group by contact_id
)

select
    contacts.contact_id,
    opted_in.opted_in_at,
    contacts.content_views_28,
    contacts.last_email_click_at

from contacts

inner join opted_in
    on contacts.contact_id = opted_in.contact_id

where contacts.stage = 'subscriber'
