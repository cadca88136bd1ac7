-- Contacts by the month of their sign-up, and the stage in which they stand today.
-- Chart: heat map (cohort, stage, share), or bars stacked to 100 % (cohort, contacts, stage).
-- Months are those of UTC. Contacts of a lively account share its stage.
with contacts as (
    select * from lifecycle.contacts
),

stages as (
    select * from seeds.stages
),

cohorts as (
    select
        cast(date_trunc('month', signed_up_at) as date) as cohort,
        stage,
        count(*) as contacts
    from contacts
    where signed_up_at is not null
    group by
        cast(date_trunc('month', signed_up_at) as date),
        stage
)

select
    cohorts.cohort,
    cohorts.stage,
    stages.position,
    cohorts.contacts,
    cast(sum(cohorts.contacts) over (partition by cohorts.cohort) as bigint) as cohort_size,
    round(
        cohorts.contacts / sum(cohorts.contacts) over (partition by cohorts.cohort), 4
    ) as share

from cohorts

left join stages
    on cohorts.stage = stages.stage

order by
    cohorts.cohort,
    stages.position
