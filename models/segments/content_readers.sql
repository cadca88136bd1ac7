{# Contacts who read our content, on the site or out of a mail. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    content_views_28,
    last_email_click_at

from contacts

where
    content_views_28 >= {{ var('content_reader_views') }}
    or {{ within_last('last_email_click_at', var('content_reader_days')) }}
