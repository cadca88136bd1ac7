{# The best customers: by what they buy, or by how long they pay and how often they come. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contacts.contact_id,
    contacts.rfm_segment,
    contacts.first_paid_at,
    contacts.active_days_28,
    contacts.lifetime_value

from contacts

where
    {{ is_customer('contacts.stage') }}
    and {{ in_good_standing('contacts') }}
    and (
        contacts.rfm_segment = 'Champions'
        or (
            {{ longer_ago('contacts.first_paid_at', var('champion_paid_days')) }}
            and contacts.active_days_28 >= {{ var('champion_active_days') }}
        )
    )
