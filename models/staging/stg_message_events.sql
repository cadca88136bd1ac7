{# One row per thing that happened to a message on any channel. #}
with raw_message_events as (
    select * from {{ ref('raw_message_events') }}
)

select
    id as message_event_id,
    nullif(contact_id, '') as contact_id,
    nullif(lower(trim(address)), '') as address,
    channel,
    case type
        when 'open' then 'opened'
        when 'click' then 'clicked'
        when 'reply' then 'replied'
        when 'dismiss' then 'dismissed'
        when 'bounce_soft' then 'soft_bounced'
        when 'bounce_hard' then 'hard_bounced'
        when 'spam_complaint' then 'complained'
        when 'unsubscribe' then 'unsubscribed'
        else type
    end as event_type,
    nullif(message, '') as message,
    nullif(decision_id, '') as decision_id,
    occurred_at

from raw_message_events
