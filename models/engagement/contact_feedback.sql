{# One row per contact who ever opened a ticket or was asked in a survey. #}
with tickets as (
    select * from {{ until_now(ref('stg_tickets'), 'opened_at') }}
),

surveys as (
    select * from {{ until_now(ref('stg_surveys'), 'asked_at') }}
),

facts as (
    select
        {{ resolved('tickets.contact_id') }} as contact_id,
        case
            when {{ happened('tickets.closed_at') }} is null then 1 else 0
        end as open_ticket_count,
        cast(null as timestamp) as survey_asked_at
    from tickets

    union all

    select
        {{ resolved('surveys.contact_id') }} as contact_id,
        0 as open_ticket_count,
        surveys.asked_at as survey_asked_at
    from surveys
),

per_contact as (
    select
        contact_id,
        cast(sum(open_ticket_count) as integer) as open_ticket_count,
        max(survey_asked_at) as last_survey_asked_at
    from facts
    group by contact_id
),

last_nps as (
    select
        {{ resolved('surveys.contact_id') }} as contact_id,
        surveys.score,
        surveys.answered_at
    from surveys
    where
        surveys.survey_type = 'nps'
        and surveys.score is not null
        and surveys.answered_at <= {{ as_of() }}
    qualify row_number() over (
        partition by {{ resolved('surveys.contact_id') }}
        order by surveys.answered_at desc, surveys.survey_id desc
    ) = 1
)

select
    per_contact.contact_id,
    per_contact.open_ticket_count,
    per_contact.last_survey_asked_at,
    last_nps.score as last_nps_score,
    last_nps.answered_at as last_nps_at

from per_contact

left join last_nps
    on per_contact.contact_id = last_nps.contact_id
