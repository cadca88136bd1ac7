{# Stays in a stage that do not begin where the one before ended, and contacts without an open one. #}
with stage_history as (
    select * from {{ ref('stage_history') }}
),

stays as (
    select
        contact_id,
        started_at,
        ended_at,
        lead(started_at) over (partition by contact_id order by started_at) as next_started_at
    from stage_history
)

select
    contact_id,
    started_at,
    ended_at,
    next_started_at

from stays

where
    ended_at is distinct from next_started_at
    or ended_at <= started_at
