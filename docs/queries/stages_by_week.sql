-- How many contacts stood in each stage at the end of each week, back to the first contact.
-- Chart: stacked area (week, contacts, series: stage). It needs no earlier runs: it is computed
-- from the facts. The last week is the one that is not over yet.
with stage_flows as (
    select * from lifecycle.stage_flows
),

stages as (
    select * from seeds.stages
),

weeks as (
    select cast(unnest(generate_series(min(week), max(week), interval '7 days')) as date) as week
    from stage_flows
),

changes as (
    select
        week,
        to_stage as stage,
        contacts as change
    from stage_flows

    union all

    select
        week,
        from_stage as stage,
        -contacts as change
    from stage_flows
    where from_stage is not null
),

weekly_changes as (
    select
        weeks.week,
        stages.stage,
        stages.position,
        stages.stage_group,
        coalesce(sum(changes.change), 0) as change
    from weeks
    cross join stages
    left join changes
        on
            weeks.week = changes.week
            and stages.stage = changes.stage
    group by
        weeks.week,
        stages.stage,
        stages.position,
        stages.stage_group
)

select
    week,
    stage,
    position,
    stage_group,
    cast(sum(change) over (partition by stage order by week) as bigint) as contacts

from weekly_changes

order by
    week,
    position
