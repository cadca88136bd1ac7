{# Contact ids that were merged away and lead nowhere, because their merges go in a circle. #}
with contact_merges as (
    select * from {{ until_now(ref('stg_contact_merges'), 'merged_at') }}
),

merged_contacts as (
    select * from {{ ref('merged_contacts') }}
)

select contact_merges.merged_contact_id

from contact_merges

left join merged_contacts
    on contact_merges.merged_contact_id = merged_contacts.merged_contact_id

where merged_contacts.merged_contact_id is null
