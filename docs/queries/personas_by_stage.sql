-- Contacts by persona and stage.
-- Chart: heat map or pivot table (persona, stage, contacts).
-- A contact has one persona at most, the first in the order of personas.yml whose segment has her.
with user_types as (
    select * from segments.user_types
),

stages as (
    select * from seeds.stages
)

select
    coalesce(user_types.persona, 'no persona') as persona,
    user_types.stage,
    stages.position,
    count(*) as contacts

from user_types

left join stages
    on user_types.stage = stages.stage

group by
    user_types.persona,
    user_types.stage,
    stages.position

order by
    persona,
    stages.position
