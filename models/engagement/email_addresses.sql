{# One row per e-mail address that a contact has: whether writing to it makes sense. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

contact_activity as (
    select * from {{ ref('contact_activity') }}
),

orders as (
    select * from {{ ref('int_orders_resolved') }}
),

email_engagement as (
    select * from {{ ref('email_engagement') }}
),

last_orders as (
    select
        contact_id,
        max(ordered_at) as last_ordered_at
    from orders
    group by contact_id
),

-- becoming known, signing up, visiting and buying, by whoever has the address; greatest and
-- least pass over what is unknown, here as everywhere
addresses as (
    select
        contacts.email,
        max(greatest(
            contacts.created_at,
            contacts.signed_up_at,
            contact_activity.last_seen_at,
            last_orders.last_ordered_at
        )) as last_seen_at
    from contacts
    left join contact_activity
        on contacts.contact_id = contact_activity.contact_id
    left join last_orders
        on contacts.contact_id = last_orders.contact_id
    where contacts.email is not null
    group by contacts.email
)

select
    addresses.email,
    coalesce(email_engagement.sent_90, 0) as emails_sent_90,
    email_engagement.last_clicked_at as last_email_click_at,
    case
        when email_engagement.has_hard_bounced then 'hard_bounce'
        when email_engagement.has_complained then 'complaint'
        when
            email_engagement.soft_bounces_in_a_row >= {{ var('soft_bounces') }}
            then 'soft_bounces'
        when
            email_engagement.sent_90 >= {{ var('unengaged_emails') }}
            and {{ longer_ago(
                'greatest(addresses.last_seen_at, email_engagement.last_reacted_at)',
                var('unengaged_days')
            ) }}
            then 'unengaged'
    end as email_unreachable_because

from addresses

left join email_engagement
    on addresses.email = email_engagement.address
