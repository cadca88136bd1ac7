{# One row per statement: nobody was asked, so nobody has agreed. #}
select
    cast(null as varchar) as contact_id,
    cast(null as varchar) as channel,
    cast(null as varchar) as purpose,
    cast(null as timestamp) as recorded_at,
    cast(null as boolean) as is_granted,
    cast(null as varchar) as source

where false
