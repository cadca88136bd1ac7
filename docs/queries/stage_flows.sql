-- Every move from one stage to another, week by week, back to the first contact.
-- Chart: Sankey of one week or a few (source, target, sum of contacts), with a filter on week,
-- or bars per week. A contact who moves twice in a week counts twice.
select
    week,
    coalesce(from_stage, 'not known') || ' before' as source,
    to_stage || ' after' as target,
    from_stage,
    to_stage,
    contacts

from lifecycle.stage_flows

order by
    week,
    source,
    target
