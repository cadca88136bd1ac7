{# Contacts who signed up in the last week and have neither tried nor bought anything yet. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    signed_up_at,
    acquisition_source,
    last_active_at

from contacts

where
    {{ within_last('signed_up_at', var('new_sign_up_days')) }}
    and trial_started_at is null
    and first_paid_at is null
    and orders_count = 0
