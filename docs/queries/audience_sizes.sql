-- How many rows each audience had after each run, and why it was held back where it was.
-- Chart: lines (as_of, row_count, series: audience), and a table of the latest rows with a reason.
-- The first `segflow` is the database, which is named for its file: opened under another file
-- name, write that name.
with runs as (
    select * from segflow.segflow.runs
),

steps as (
    select * from segflow.segflow.steps
)

select
    runs.run,
    runs.as_of,
    replace(steps.relation, 'audiences.', '') as audience,
    steps.status,
    steps.row_count,
    nullif(steps.reason, '') as reason

from steps

inner join runs
    on steps.run = runs.run

where steps.kind = 'audience'

order by
    runs.run,
    audience
