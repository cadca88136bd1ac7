{# One row per contact, product category and kind of interest in it: bought, in a cart, read about. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

products_owned as (
    select * from {{ ref('int_products_owned') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

carts as (
    select * from {{ until_now(ref('stg_carts'), 'updated_at') }}
),

daily_activity as (
    select * from {{ ref('daily_activity') }}
)

select
    contacts.contact_id,
    products_owned.category,
    'bought' as interest

from products_owned

inner join contacts
    on products_owned.account_id = contacts.account_id

where products_owned.category is not null

union

select
    {{ resolved('carts.contact_id') }} as contact_id,
    products.category,
    'browsed' as interest

from carts

inner join products
    on carts.first_product_id = products.product_id

where
    products.category is not null
    and {{ within_last('carts.updated_at', var('browsed_days')) }}

union

-- a topic that is named like a category of products
select
    daily_activity.contact_id,
    products.category,
    'browsed' as interest

from daily_activity

inner join products
    on daily_activity.content_topic = products.category

where daily_activity.occurred_on > {{ company_date(as_of()) }} - {{ var('browsed_days') }}
