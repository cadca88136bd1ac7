{# One row per contact id that was merged away. #}
with raw_contact_merges as (
    select * from {{ ref('raw_contact_merges') }}
)

select
    merged_id as merged_contact_id,
    into_id as contact_id,
    merged_at

from raw_contact_merges
