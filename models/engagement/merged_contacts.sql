{# One row per contact id that was merged away, with the id that its person has now. #}
with recursive contact_merges as (
    select * from {{ until_now(ref('stg_contact_merges'), 'merged_at') }}
),

-- union, not union all: a cycle then ends by itself, and a data test reports it
chains as (
    select
        merged_contact_id,
        contact_id
    from contact_merges

    union

    select
        chains.merged_contact_id,
        contact_merges.contact_id
    from chains
    inner join contact_merges
        on chains.contact_id = contact_merges.merged_contact_id
)

select
    chains.merged_contact_id,
    max(chains.contact_id) as contact_id

from chains

left join contact_merges
    on chains.contact_id = contact_merges.merged_contact_id

where contact_merges.merged_contact_id is null

group by chains.merged_contact_id
