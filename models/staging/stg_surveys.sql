{# One row per time that a contact was asked. #}
with raw_surveys as (
    select * from {{ ref('raw_surveys') }}
)

select
    id as survey_id,
    contact_id,
    lower(trim(type)) as survey_type,
    asked_at,
    answered_at,
    cast(score as integer) as score

from raw_surveys
