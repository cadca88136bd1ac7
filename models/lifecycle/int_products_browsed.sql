{# One row per contact and category of products that she lately put in a cart or read about. #}
{{ config(materialized='view') }}

with products as (
    select * from {{ ref('stg_products') }}
),

carts as (
    select * from {{ until_now(ref('stg_carts'), 'updated_at') }}
),

daily_activity as (
    select * from {{ ref('daily_activity') }}
)

select
    {{ resolved('carts.contact_id') }} as contact_id,
    products.category

from carts

inner join products
    on carts.first_product_id = products.product_id

where
    products.category is not null
    and {{ within_last('carts.updated_at', var('browsed_days')) }}

union

-- a topic that is named like a category
select
    daily_activity.contact_id,
    products.category

from daily_activity

inner join products
    on daily_activity.content_topic = products.category

where daily_activity.occurred_on > {{ company_date(as_of()) }} - {{ var('browsed_days') }}
