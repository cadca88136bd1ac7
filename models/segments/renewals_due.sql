{# Billing contacts and owners whose subscription comes up for renewal within a month. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    period_ends_at,
    {{ company_date('period_ends_at') }} as period_ends_on,
    case is_auto_renew when true then 'renews' when false then 'ends' end as renewal_word,
    billing_interval,
    is_auto_renew,
    account_owner

from contacts

where
    -- only who pays has a period
    {{ within_next('period_ends_at', var('renewal_days')) }}
    and (billing_interval = 'year' or not is_auto_renew)
    and cancel_requested_at is null
    and {{ handles_billing() }}
