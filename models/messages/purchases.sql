{# One row per order of a contact, and per contact of an account that began to pay. #}
with orders as (
    select * from {{ ref('int_orders_resolved') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions_dated') }}
),

contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    ordered_at as happened_at,
    total_value as value

from orders

where cancelled_at is null

union all

select
    contacts.contact_id,
    subscriptions.paid_started_at as happened_at,
    subscriptions.mrr_value as value

from subscriptions

inner join contacts
    on subscriptions.account_id = contacts.account_id

where subscriptions.paid_started_at is not null
