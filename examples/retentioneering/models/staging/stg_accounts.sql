{# One row per company: in this shop everybody pays for herself. #}
select
    cast(null as varchar) as account_id,
    cast(null as varchar) as account_name,
    cast(null as varchar) as industry,
    cast(null as integer) as employee_count,
    cast(null as varchar) as country,
    cast(null as varchar) as account_owner,
    cast(null as timestamp) as created_at

where false
