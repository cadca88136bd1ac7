{# One row per user. #}
with clicks as (
    select * from {{ ref('stg_retentioneering__clicks') }}
)

select
    user_id as contact_id,
    -- whoever buys pays for herself
    user_id as account_id,
    cast(null as varchar) as email,
    cast(null as timestamp) as email_verified_at,
    cast(null as varchar) as first_name,
    cast(null as varchar) as role,
    cast(null as varchar) as job_title,
    cast(null as varchar) as country,
    cast(null as varchar) as language,
    cast(null as varchar) as time_zone,
    min(acquisition_channel) as acquisition_source,
    cast(null as varchar) as sales_stage,
    min(occurred_at) as created_at,
    -- nothing says who has an account with the shop, or since when
    cast(null as timestamp) as signed_up_at,
    false as is_internal

from clicks

group by user_id
