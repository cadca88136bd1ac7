{# One row per survey that was answered. #}
with surveys as (
    select * from {{ until_now(ref('stg_surveys'), 'asked_at') }}
)

select
    {{ resolved('surveys.contact_id') }} as contact_id,
    surveys.answered_at as happened_at

from surveys

where {{ happened('surveys.answered_at') }} is not null
