-- How many contacts each segment had at the end of each day on which it was evaluated.
-- Chart: lines (as_of_date, members, series: segment), or a big number with a trend.
-- Segments have a history from the first run on: one point per segment after that run.
select
    as_of_date,
    segment,
    members

from segments.sizes

where is_last_of_day

order by
    as_of_date,
    segment
