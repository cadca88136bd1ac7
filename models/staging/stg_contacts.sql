{# One row per person, known or anonymous. #}
{{ config(materialized='table') }}

with raw_contacts as (
    select * from {{ ref('raw_contacts') }}
),

known_time_zones as (
    select name from pg_timezone_names()
),

latest_versions as (
    select *
    from raw_contacts
    qualify
        row_number() over (
            partition by id
            order by updated_at desc, email asc, first_name asc, sales_stage asc
        ) = 1
)

select
    latest_versions.id as contact_id,
    -- who belongs to no company pays for herself
    coalesce(latest_versions.account_id, latest_versions.id) as account_id,
    nullif(lower(trim(latest_versions.email)), '') as email,
    latest_versions.email_verified_at,
    nullif(trim(latest_versions.first_name), '') as first_name,
    nullif(lower(trim(latest_versions.role)), '') as role,
    nullif(trim(latest_versions.job_title), '') as job_title,
    nullif(upper(trim(latest_versions.country)), '') as country,
    nullif(replace(trim(latest_versions.locale), '_', '-'), '') as language,
    known_time_zones.name as time_zone,
    nullif(lower(trim(latest_versions.source)), '') as acquisition_source,
    case lower(trim(latest_versions.sales_stage))
        when 'marketingqualifiedlead' then 'marketing_qualified'
        when 'salesqualifiedlead' then 'sales_qualified'
        else nullif(lower(trim(latest_versions.sales_stage)), '')
    end as sales_stage,
    latest_versions.created_at,
    latest_versions.signed_up_at,
    coalesce(latest_versions.is_staff, false) as is_internal

from latest_versions

left join known_time_zones
    on trim(latest_versions.time_zone) = known_time_zones.name
