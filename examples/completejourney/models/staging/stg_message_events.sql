{# One row per campaign and household that was in it. #}
with campaigns as (
    select * from {{ source('completejourney', 'campaigns') }}
),

campaign_descriptions as (
    select * from {{ source('completejourney', 'campaign_descriptions') }}
)

select
    trim(campaigns.campaign_id) || '/' || trim(campaigns.household_id) as message_event_id,
    trim(campaigns.household_id) as contact_id,
    cast(null as varchar) as address,
    -- how a campaign reached a household is not said: it counts on no channel of the project
    'unknown' as channel,
    'sent' as event_type,
    'campaign_' || trim(campaigns.campaign_id) as message,
    cast(null as varchar) as decision_id,
    {{ shop_midnight('campaign_descriptions.start_date') }} as occurred_at

from campaigns

inner join campaign_descriptions
    on campaigns.campaign_id = campaign_descriptions.campaign_id
