{# One row per account, kind of span and unbroken span; stages are computed from them. #}
with pieces as (
    select * from {{ ref('int_account_spans_unioned') }}
),

bounded as (
    select
        account_id,
        kind,
        started_at,
        ended_at,
        coalesce(reaches_to, timestamp '9999-12-31') as reaches_to
    from pieces
    -- what ended when it began never was
    where
        kind in ('active', 'ordering')
        or ended_at > started_at
        or ended_at is null
),

marked as (
    select
        account_id,
        kind,
        started_at,
        ended_at,
        reaches_to,
        case
            when
                started_at <= max(reaches_to) over (
                    partition by account_id, kind
                    order by started_at, reaches_to
                    rows between unbounded preceding and 1 preceding
                )
                then 0
            else 1
        end as is_first
    from bounded
),

numbered as (
    select
        account_id,
        kind,
        started_at,
        ended_at,
        -- by range, so that equal pieces get the same number
        sum(is_first) over (
            partition by account_id, kind
            order by started_at, reaches_to
            range between unbounded preceding and current row
        ) as span_number
    from marked
),

spans as (
    select
        account_id,
        kind,
        span_number,
        min(started_at) as started_at,
        case when bool_or(ended_at is null) then null else max(ended_at) end as ended_at
    from numbered
    group by account_id, kind, span_number
)

select
    account_id,
    kind,
    started_at,
    ended_at,
    min(started_at) over (partition by account_id, kind) as first_started_at,
    lag(ended_at) over (
        partition by account_id, kind order by span_number
    ) as previous_ended_at

from spans
