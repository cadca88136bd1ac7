{# Customers who know us well enough to be asked, and were not asked lately. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

accounts as (
    select * from {{ ref('accounts') }}
)

select
    contacts.contact_id,
    accounts.customer_since,
    contacts.active_days_28,
    contacts.last_order_at,
    contacts.last_survey_asked_at

from contacts

inner join accounts
    on contacts.account_id = accounts.account_id

where
    {{ is_customer('contacts.stage') }}
    and {{ for_at_least('accounts.customer_since', var('survey_customer_days')) }}
    and (
        contacts.active_days_28 >= {{ var('survey_active_days') }}
        or {{ within_last('contacts.last_order_at', var('survey_order_days')) }}
    )
    and (
        contacts.last_survey_asked_at is null
        or {{ longer_ago('contacts.last_survey_asked_at', var('survey_pause_days')) }}
    )
