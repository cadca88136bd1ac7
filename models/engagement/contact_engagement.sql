{# One row per contact: activity, mail, tickets, surveys and cart, all in one place. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

contact_activity as (
    select * from {{ ref('contact_activity') }}
),

email_addresses as (
    select * from {{ ref('email_addresses') }}
),

contact_tickets as (
    select * from {{ ref('contact_tickets') }}
),

contact_surveys as (
    select * from {{ ref('contact_surveys') }}
),

open_carts as (
    select * from {{ ref('open_carts') }}
)

select
    contacts.contact_id,
    contact_activity.activated_at,
    contact_activity.last_active_at,
    {{ whole_days_since('contact_activity.last_active_at') }} as days_inactive,
    coalesce(contact_activity.active_days_7, 0) as active_days_7,
    coalesce(contact_activity.active_days_28, 0) as active_days_28,
    contact_activity.usage_change,
    coalesce(contact_activity.content_views_28, 0) as content_views_28,
    email_addresses.last_email_click_at,
    coalesce(email_addresses.emails_sent_90, 0) as emails_sent_90,
    -- who is not interested has an address that works: what is owed still goes there
    contacts.email is not null
    and coalesce(email_addresses.email_unreachable_because = 'unengaged', true)
        as is_email_reachable,
    case
        when contacts.email is null then 'no_address'
        else email_addresses.email_unreachable_because
    end as email_unreachable_because,
    coalesce(contact_tickets.open_ticket_count, 0) as open_ticket_count,
    contact_surveys.last_nps_score,
    contact_surveys.last_nps_at,
    contact_surveys.last_survey_asked_at,
    open_carts.cart_id as open_cart_id,
    open_carts.updated_at as open_cart_updated_at

from contacts

left join contact_activity
    on contacts.contact_id = contact_activity.contact_id

left join email_addresses
    on contacts.email = email_addresses.email

left join contact_tickets
    on contacts.contact_id = contact_tickets.contact_id

left join contact_surveys
    on contacts.contact_id = contact_surveys.contact_id

left join open_carts
    on contacts.contact_id = open_carts.contact_id
