{# One row per subscription, feature and day on which it was used. #}
with feature_usage as (
    -- a row that was exported twice is one use
    select distinct * from {{ source('ravenstack', 'feature_usage') }}
),

subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
)

select
    -- some usage_ids were given to two uses, of two subscriptions: both are real
    trim(feature_usage.usage_id) || '/' || trim(feature_usage.subscription_id) as event_id,
    trim(subscriptions.account_id) as contact_id,
    'feature_used' as event_name,
    trim(feature_usage.feature_name) as feature_id,
    cast(null as varchar) as content_topic,
    cast(feature_usage.usage_count as integer) > 0 as is_activity,
    {{ day_first('feature_usage.usage_date') }} as occurred_at,
    cast(null as timestamp) as loaded_at

from feature_usage

left join subscriptions
    on feature_usage.subscription_id = subscriptions.subscription_id
