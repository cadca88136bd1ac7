{# One row per account: the files know nobody by name, so the account stands as its one contact. #}
with accounts as (
    select * from {{ source('ravenstack', 'accounts') }}
)

select
    trim(account_id) as contact_id,
    trim(account_id) as account_id,
    -- no file has an address, so nobody has one here
    cast(null as varchar) as email,
    cast(null as timestamp) as email_verified_at,
    cast(null as varchar) as first_name,
    cast(null as varchar) as role,
    cast(null as varchar) as job_title,
    {{ country_code('country') }} as country,
    cast(null as varchar) as language,
    cast(null as varchar) as time_zone,
    nullif(lower(trim(referral_source)), '') as acquisition_source,
    cast(null as varchar) as sales_stage,
    {{ day_first('signup_date') }} as created_at,
    {{ day_first('signup_date') }} as signed_up_at,
    false as is_internal

from accounts
