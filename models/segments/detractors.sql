{# Contacts whose last answer to "would you recommend us" was 6 or less. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    last_nps_score,
    last_nps_at,
    account_owner

from contacts

where
    last_nps_score <= 6
    and {{ within_last('last_nps_at', var('detractor_days')) }}
