{# One row per household, from the first moment at which any file knows it. #}
with transactions as (
    select * from {{ source('completejourney', 'transactions_sample') }}
),

campaigns as (
    select * from {{ source('completejourney', 'campaigns') }}
),

campaign_descriptions as (
    select * from {{ source('completejourney', 'campaign_descriptions') }}
),

appearances as (
    select
        household_id,
        cast(transaction_timestamp as timestamp) as appeared_at
    from transactions

    union all

    select
        campaigns.household_id,
        {{ shop_midnight('campaign_descriptions.start_date') }} as appeared_at
    from campaigns
    inner join campaign_descriptions
        on campaigns.campaign_id = campaign_descriptions.campaign_id
)

select
    trim(household_id) as contact_id,
    -- the household pays for itself
    trim(household_id) as account_id,
    cast(null as varchar) as email,
    cast(null as timestamp) as email_verified_at,
    cast(null as varchar) as first_name,
    cast(null as varchar) as role,
    cast(null as varchar) as job_title,
    cast(null as varchar) as country,
    cast(null as varchar) as language,
    cast(null as varchar) as time_zone,
    cast(null as varchar) as acquisition_source,
    cast(null as varchar) as sales_stage,
    min(appeared_at) as created_at,
    -- all have a loyalty card, and no file says since when
    cast(null as timestamp) as signed_up_at,
    false as is_internal

from appearances

group by trim(household_id)
