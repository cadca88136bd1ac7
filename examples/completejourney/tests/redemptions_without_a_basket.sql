{# Coupons handed in on a day on which the sample has no basket of the household. #}
with events as (
    select * from {{ ref('stg_events') }}
),

orders as (
    select * from {{ ref('stg_orders') }}
)

select
    events.event_id,
    events.contact_id,
    events.occurred_at

from events

where not exists (
    select 1
    from orders
    where
        orders.contact_id = events.contact_id
        and {{ company_date('orders.ordered_at') }} = {{ company_date('events.occurred_at') }}
)
