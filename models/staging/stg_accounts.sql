{# One row per company that pays, or could pay. #}
with raw_accounts as (
    select * from {{ ref('raw_accounts') }}
)

select
    id as account_id,
    nullif(trim(name), '') as account_name,
    nullif(lower(trim(industry)), '') as industry,
    cast(employee_count as integer) as employee_count,
    nullif(upper(trim(country)), '') as country,
    nullif(lower(trim(owner)), '') as account_owner,
    created_at

from raw_accounts
