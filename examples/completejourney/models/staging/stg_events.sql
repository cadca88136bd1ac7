{# One row per coupon that a household handed in: all that the files know beside the baskets. #}
with coupon_redemptions as (
    select * from {{ source('completejourney', 'coupon_redemptions') }}
)

select
    concat_ws('/', trim(household_id), trim(coupon_upc), trim(campaign_id), redemption_date)
        as event_id,
    trim(household_id) as contact_id,
    'coupon_redeemed' as event_name,
    cast(null as varchar) as feature_id,
    cast(null as varchar) as content_topic,
    true as is_activity,
    {{ shop_midnight('redemption_date') }} as occurred_at,
    cast(null as timestamp) as loaded_at

from coupon_redemptions
