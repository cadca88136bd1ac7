{# Leads and trial users at companies that are large enough for a call. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    stage,
    employee_count,
    industry,
    account_owner

from contacts

where
    stage in ('lead', 'trial', 'trial_expired')
    and employee_count >= {{ var('large_company_employees') }}
