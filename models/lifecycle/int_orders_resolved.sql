{# One row per order that was placed by as_of, cancelled ones included. #}
with orders as (
    select * from {{ until_now(ref('stg_orders'), 'ordered_at') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
)

select
    orders.order_id,
    contacts.contact_id,
    contacts.account_id,
    orders.cart_id,
    orders.total_value,
    coalesce(orders.discount_code is not null or orders.discount_value > 0, false) as is_discounted,
    orders.ordered_at,
    {{ happened('orders.cancelled_at') }} as cancelled_at

from orders

inner join contacts
    on {{ resolved('orders.contact_id') }} = contacts.contact_id

where not contacts.is_internal
