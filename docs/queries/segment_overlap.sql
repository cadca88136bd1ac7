-- How much each two segments have in common. Each pair stands twice, once from either side.
-- Chart: heat map (segment, other_segment, jaccard or share_of_segment).
-- jaccard: contacts in both, of contacts in either. Pairs without a common contact are left out.
with memberships as (
    select * from segments.memberships
),

sizes as (
    select
        segment,
        count(*) as members
    from memberships
    group by segment
),

pairs as (
    select
        memberships.segment,
        others.segment as other_segment,
        count(*) as in_both
    from memberships
    inner join memberships as others
        on
            memberships.contact_id = others.contact_id
            and memberships.segment != others.segment
    group by
        memberships.segment,
        others.segment
)

select
    pairs.segment,
    pairs.other_segment,
    pairs.in_both,
    sizes.members,
    other_sizes.members as other_members,
    round(
        pairs.in_both / (sizes.members + other_sizes.members - pairs.in_both), 4
    ) as jaccard,
    round(pairs.in_both / sizes.members, 4) as share_of_segment

from pairs

inner join sizes
    on pairs.segment = sizes.segment

inner join sizes as other_sizes
    on pairs.other_segment = other_sizes.segment

order by
    jaccard desc,
    pairs.segment asc,
    pairs.other_segment asc
