{# One row per company: here every household pays for itself. #}
select
    cast(null as varchar) as account_id,
    cast(null as varchar) as account_name,
    cast(null as varchar) as industry,
    cast(null as integer) as employee_count,
    cast(null as varchar) as country,
    cast(null as varchar) as account_owner,
    cast(null as timestamp) as created_at

where false
