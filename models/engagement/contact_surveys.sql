{# One row per contact who was ever asked in a survey. #}
with surveys as (
    select * from {{ until_now(ref('stg_surveys'), 'asked_at') }}
),

resolved as (
    select
        {{ resolved('surveys.contact_id') }} as contact_id,
        surveys.survey_id,
        surveys.asked_at,
        surveys.survey_type,
        surveys.score,
        {{ happened('surveys.answered_at') }} as answered_at
    from surveys
),

asked as (
    select
        contact_id,
        max(asked_at) as last_survey_asked_at
    from resolved
    group by contact_id
),

last_nps as (
    select
        contact_id,
        score,
        answered_at
    from resolved
    where
        survey_type = 'nps'
        and score is not null
        and answered_at is not null
    qualify row_number() over (
        partition by contact_id
        order by answered_at desc, survey_id desc
    ) = 1
)

select
    asked.contact_id,
    asked.last_survey_asked_at,
    last_nps.score as last_nps_score,
    last_nps.answered_at as last_nps_at

from asked

left join last_nps
    on asked.contact_id = last_nps.contact_id
