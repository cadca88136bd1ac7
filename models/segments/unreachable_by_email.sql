{# Contacts whom e-mail does not reach, or who have not cared for it in a year. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    email_unreachable_because,
    emails_sent_90,
    last_email_click_at

from contacts

where email_unreachable_because is not null
