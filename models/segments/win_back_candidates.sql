{# Customers who left one to six months ago and were worth more than most who left. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

former_accounts as (
    select distinct
        account_id,
        lifetime_value
    from contacts
    where stage = 'churned'
),

median as (
    select quantile_cont(lifetime_value, 0.5) as lifetime_value
    from former_accounts
)

select
    contacts.contact_id,
    contacts.churned_at,
    contacts.lifetime_value,
    contacts.acquisition_source

from contacts

cross join median

where
    contacts.stage = 'churned'
    and {{ longer_ago('contacts.churned_at', var('churned_days')) }}
    and {{ within_last('contacts.churned_at', var('win_back_days')) }}
    and contacts.lifetime_value > median.lifetime_value
