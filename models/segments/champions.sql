{# The best customers: by what they buy, or by how long they pay and how often they come. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    rfm_segment,
    first_paid_at,
    active_days_28,
    lifetime_value

from contacts

where
    {{ is_customer('stage') }}
    and (
        rfm_segment = 'Champions'
        or (
            {{ longer_ago('first_paid_at', var('champion_paid_days')) }}
            and active_days_28 >= {{ var('champion_active_days') }}
        )
    )
