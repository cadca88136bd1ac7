{# One row per contact and new product in a category that she or her account cares about. #}
with products as (
    select * from {{ until_now(ref('stg_products'), 'launched_at') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

products_owned as (
    select * from {{ ref('int_products_owned') }}
),

interests as (
    select * from {{ ref('int_category_interests') }}
)

select
    contacts.contact_id,
    products.product_id,
    products.product_name,
    products.category,
    products.launched_at,
    min(interests.interest) as interest

from products

inner join interests
    on products.category = interests.category

inner join contacts
    on interests.contact_id = contacts.contact_id

where
    {{ within_last('products.launched_at', var('new_product_days')) }}
    and not contacts.is_internal
    and not exists (
        select 1
        from products_owned
        where
            products_owned.account_id = contacts.account_id
            and products_owned.product_id = products.product_id
    )

group by
    contacts.contact_id,
    products.product_id,
    products.product_name,
    products.category,
    products.launched_at
