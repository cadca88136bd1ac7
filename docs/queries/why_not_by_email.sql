-- Why members of a segment cannot get marketing mail: one reason each, the first that applies.
-- Chart: stacked bars, 100 % (segment, contacts, series: reason), or a heat map.
-- The rules are those of the starter's channel email. Per segment the reasons add up to members,
-- and `may be written to` is the column permitted of segments.reach.
with memberships as (
    select * from segments.memberships
),

contacts as (
    select * from lifecycle.contacts
),

statements as (
    select
        contact_id,
        -- who refuses profiling on any channel gets no marketing at all
        bool_and(is_granted is true) filter (where purpose = 'marketing') as is_granted,
        bool_or(purpose = 'profiling' and not is_granted) as has_refused_profiling
    from engagement.consents
    where
        (channel = 'email' and purpose = 'marketing')
        or purpose = 'profiling'
    group by contact_id
),

reasons as (
    select
        memberships.segment,
        case
            when contacts.contact_id is null then 'unknown contact'
            when nullif(trim(contacts.email), '') is null then 'no address'
            when
                contacts.is_email_reachable is not true
                or contacts.email_unreachable_because is not null
                then coalesce(
                    replace(contacts.email_unreachable_because, '_', ' '), 'unreachable'
                )
            when statements.has_refused_profiling then 'refused'
            when statements.is_granted then 'may be written to'
            when not statements.is_granted then 'refused'
            else 'never asked'
        end as reason
    from memberships
    left join contacts
        on memberships.contact_id = contacts.contact_id
    left join statements
        on memberships.contact_id = statements.contact_id
)

select
    segment,
    reason,
    count(*) as contacts

from reasons

group by
    segment,
    reason

order by
    segment asc,
    contacts desc,
    reason asc
