{# One row per contact who ever did anything in product, shop or content. #}
with activity_totals as (
    select * from {{ ref('activity_totals') }}
),

daily_activity as (
    select * from {{ ref('daily_activity') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

ever as (
    select
        contact_id,
        max(last_occurred_at) as last_seen_at,
        max(last_active_at) as last_active_at,
        -- when each of the first so many different things was first done
        min(first_active_at, {{ var('activation_actions') }}) as first_actions
    from activity_totals
    group by contact_id
),

recently as (
    select
        contact_id,
        is_activity,
        -- a topic that is named like a category of products was browsed, and not read
        content_topic is not null
        and content_topic not in (
            select products.category from products
            where products.category is not null
        ) as is_reading,
        event_count,
        {{ company_date(as_of()) }} - occurred_on as days_ago
    from daily_activity
    where occurred_on > {{ company_date(as_of()) }} - 56
),

-- a bit for every active day: to count bits is much cheaper than to count distinct days
windows as (
    select
        contact_id,
        bit_count(bit_or(cast(1 as bigint) << days_ago) filter (
            where is_activity and days_ago < 7
        )) as active_days_7,
        bit_count(bit_or(cast(1 as bigint) << days_ago) filter (
            where is_activity and days_ago < 28
        )) as active_days_28,
        sum(event_count) filter (where is_activity and days_ago < 28) as events_28,
        sum(event_count) filter (where is_activity and days_ago >= 28) as events_28_before,
        sum(event_count) filter (where is_reading and days_ago < 28)
            as content_views_28
    from recently
    group by contact_id
)

select
    ever.contact_id,
    ever.last_seen_at,
    ever.last_active_at,
    ever.first_actions[{{ var('activation_actions') }}] as activated_at,
    cast(coalesce(windows.active_days_7, 0) as integer) as active_days_7,
    cast(coalesce(windows.active_days_28, 0) as integer) as active_days_28,
    case
        when windows.events_28_before >= {{ var('usage_base_actions') }}
            then cast(round(
                coalesce(windows.events_28, 0) / windows.events_28_before - 1, 4
            ) as decimal(18, 4))
    end as usage_change,
    cast(coalesce(windows.content_views_28, 0) as integer) as content_views_28

from ever

left join windows
    on ever.contact_id = windows.contact_id
