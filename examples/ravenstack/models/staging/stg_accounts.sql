{# One row per account, the company. #}
with accounts as (
    select * from {{ source('ravenstack', 'accounts') }}
)

select
    trim(account_id) as account_id,
    nullif(trim(account_name), '') as account_name,
    nullif(trim(industry), '') as industry,
    -- seats are no employees
    cast(null as integer) as employee_count,
    {{ country_code('country') }} as country,
    cast(null as varchar) as account_owner,
    {{ day_first('signup_date') }} as created_at

from accounts
