-- Where contacts stood four weeks before the last build, and where they stand now.
-- Chart: Sankey (source, target, value: contacts). Its values add up to all contacts.
-- A stage on the left is another node than the same stage on the right, as a Sankey allows no
-- circles. For movers alone, filter on has_moved.
with build as (
    select as_of
    from segments.status
    where relation = 'lifecycle.stage_history'
),

stage_history as (
    select * from lifecycle.stage_history
),

stages_before as (
    select
        stage_history.contact_id,
        stage_history.stage
    from stage_history
    inner join build
        on
            stage_history.started_at <= build.as_of - interval '28 days'
            and (
                stage_history.ended_at > build.as_of - interval '28 days'
                or stage_history.ended_at is null
            )
),

stages_now as (
    select
        contact_id,
        stage
    from stage_history
    where ended_at is null
)

select
    coalesce(stages_before.stage, 'not known') || ' before' as source,
    stages_now.stage || ' now' as target,
    coalesce(stages_before.stage != stages_now.stage, true) as has_moved,
    count(*) as contacts

from stages_now

left join stages_before
    on stages_now.contact_id = stages_before.contact_id

group by
    stages_before.stage,
    stages_now.stage

order by
    contacts desc,
    source asc,
    target asc
