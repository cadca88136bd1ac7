-- How fresh every table, segment and audience is. What is kept from an earlier run comes first.
-- Chart: table with a colour on state, or a big number (how many are not fresh).
-- hours_behind: how much older than the newest build in the file.
with status as (
    select * from segments.status
)

select
    kind,
    relation,
    state,
    as_of,
    run,
    date_diff('hour', as_of, max(as_of) over ()) as hours_behind,
    nullif(reason, '') as reason

from status

order by
    case state when 'kept' then 1 when 'empty' then 2 else 3 end,
    kind,
    relation
