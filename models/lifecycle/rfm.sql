{# One row per account that ordered in the period: recency, frequency and money, and their name. #}
with orders as (
    select * from {{ ref('int_orders_resolved') }}
),

rfm_segments as (
    select * from {{ ref('rfm_segments') }}
),

bought as (
    select
        account_id,
        max(ordered_at) as last_order_at,
        count(*) as orders_count,
        sum(total_value) as orders_value
    from orders
    where
        cancelled_at is null
        and {{ within_last('ordered_at', var('rfm_days')) }}
    group by account_id
),

cut_points as (
    select
        quantile_disc(last_order_at, [0.2, 0.4, 0.6, 0.8]) as recency,
        quantile_disc(orders_count, [0.2, 0.4, 0.6, 0.8]) as frequency,
        quantile_disc(orders_value, [0.2, 0.4, 0.6, 0.8]) as monetary
    from bought
),

scored as (
    select
        bought.account_id,
        {{ quintile('bought.last_order_at', 'cut_points.recency') }} as rfm_r,
        {{ quintile('bought.orders_count', 'cut_points.frequency') }} as rfm_f,
        {{ quintile('bought.orders_value', 'cut_points.monetary') }} as rfm_m
    from bought
    cross join cut_points
),

-- the bands overlap: the first that fits gives the name; unknown money fits every band
named as (
    select
        scored.account_id,
        rfm_segments.rfm_segment
    from scored
    inner join rfm_segments
        on
            scored.rfm_r between rfm_segments.r_min and rfm_segments.r_max
            and scored.rfm_f between rfm_segments.f_min and rfm_segments.f_max
            and coalesce(
                scored.rfm_m between rfm_segments.m_min and rfm_segments.m_max,
                scored.rfm_m is null
            )
    qualify row_number() over (
        partition by scored.account_id order by rfm_segments.priority
    ) = 1
)

select
    scored.account_id,
    scored.rfm_r,
    scored.rfm_f,
    scored.rfm_m,
    coalesce(named.rfm_segment, 'Others') as rfm_segment

from scored

left join named
    on scored.account_id = named.account_id
