{# One row per week and move from one stage to another, with how many contacts made it. #}
with stage_history as (
    select * from {{ ref('stage_history') }}
),

moves as (
    select
        contact_id,
        cast(date_trunc('week', {{ company_date('started_at') }}) as date) as week,
        lag(stage) over (partition by contact_id order by started_at) as from_stage,
        stage as to_stage
    from stage_history
)

select
    week,
    from_stage,
    to_stage,
    cast(count(*) as integer) as contacts

from moves

group by
    week,
    from_stage,
    to_stage
