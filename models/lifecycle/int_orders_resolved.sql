{# One row per order that was placed by as_of, cancelled ones included. #}
with orders as (
    select * from {{ until_now(ref('stg_orders'), 'ordered_at') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

resolved as (
    select
        orders.order_id,
        {{ resolved('orders.contact_id') }} as contact_id,
        orders.cart_id,
        orders.total_value,
        coalesce(orders.discount_code is not null or orders.discount_value > 0, false)
            as is_discounted,
        orders.ordered_at,
        {{ happened('cancelled_at') }} as cancelled_at
    from orders
)

select
    resolved.order_id,
    resolved.contact_id,
    contacts.account_id,
    resolved.cart_id,
    resolved.total_value,
    resolved.is_discounted,
    resolved.ordered_at,
    resolved.cancelled_at

from resolved

inner join contacts
    on resolved.contact_id = contacts.contact_id

where not contacts.is_internal
