{# One row per id merged away: the file follows users across devices by one id. #}
select
    cast(null as varchar) as merged_contact_id,
    cast(null as varchar) as contact_id,
    cast(null as timestamp) as merged_at

where false
