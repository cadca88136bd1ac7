{# One row per contact who is staff or a test: kept apart, so that no segment can hold one. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
)

select
    contact_id,
    account_id,
    email,
    first_name,
    created_at,
    signed_up_at

from contacts

where is_internal
