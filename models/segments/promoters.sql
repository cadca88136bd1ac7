{# Contacts whose last answer to "would you recommend us" was 9 or 10. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    last_nps_score,
    last_nps_at

from contacts

where
    last_nps_score >= 9
    and {{ within_last('last_nps_at', var('promoter_days')) }}
