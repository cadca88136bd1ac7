-- How many contacts entered and left each segment per day.
-- Chart: bars, entered up and departed down (as_of_date, both, one segment or a sum of some).
-- On the first day of a segment everybody enters: filter on is_first_day to leave that out.
with sizes as (
    select * from segments.sizes
),

days as (
    select
        as_of_date,
        segment,
        sum(entered) as entered,
        sum("left") as departed,
        min(as_of_date) over (partition by segment) as first_date
    from sizes
    group by
        as_of_date,
        segment
)

select
    as_of_date,
    segment,
    cast(entered as bigint) as entered,
    cast(departed as bigint) as departed,
    cast(entered - departed as bigint) as net_change,
    as_of_date = first_date as is_first_day

from days

order by
    as_of_date,
    segment
