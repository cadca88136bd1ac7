{# One row per statement of a contact about a channel and a purpose, never updated. #}
with raw_consents as (
    select * from {{ ref('raw_consents') }}
)

select
    contact_id,
    lower(trim(channel)) as channel,
    lower(trim(purpose)) as purpose,
    recorded_at,
    -- of statements in the same second the strictest counts
    bool_and(coalesce(lower(trim(status)) = 'granted', false)) as is_granted,
    min(nullif(trim(source), '')) as source

from raw_consents

group by contact_id, lower(trim(channel)), lower(trim(purpose)), recorded_at
