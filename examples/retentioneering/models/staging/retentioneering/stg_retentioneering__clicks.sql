{# One row per event of the click stream, without those that were recorded twice. #}
with ecom as (
    select * from {{ source('retentioneering', 'ecom') }}
)

select distinct
    trim(user_id) as user_id,
    trim(session_id) as session_id,
    trim(event) as event_name,
    cast(timestamp as timestamp) as occurred_at,
    nullif(trim(acquisition_channel), '') as acquisition_channel

from ecom
