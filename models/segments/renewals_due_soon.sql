{# Of the renewals that are due, those within days. #}
with renewals_due as (
    select * from {{ ref('renewals_due') }}
)

select
    contact_id,
    period_ends_at,
    period_ends_on,
    renewal_word,
    billing_interval,
    is_auto_renew,
    account_owner

from renewals_due

where {{ within_next('period_ends_at', var('renewal_soon_days')) }}
