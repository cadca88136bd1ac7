{# One row per contact and new product in a category that she or her account cares about. #}
with products as (
    select * from {{ ref('stg_products') }}
),

products_owned as (
    select * from {{ ref('int_products_owned') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

products_browsed as (
    select * from {{ ref('int_products_browsed') }}
),

new_products as (
    select
        product_id,
        product_name,
        category,
        launched_at
    from products
    where {{ within_last('launched_at', var('new_product_days')) }}
),

interested as (
    select
        contacts.contact_id,
        new_products.product_id,
        'bought' as interest
    from new_products
    inner join products_owned
        on new_products.category = products_owned.category
    inner join contacts
        on products_owned.account_id = contacts.account_id

    union all

    select
        products_browsed.contact_id,
        new_products.product_id,
        'browsed' as interest
    from new_products
    inner join products_browsed
        on new_products.category = products_browsed.category
)

select
    interested.contact_id,
    new_products.product_id,
    new_products.product_name,
    new_products.category,
    new_products.launched_at,
    min(interested.interest) as interest

from interested

inner join new_products
    on interested.product_id = new_products.product_id

inner join contacts
    on interested.contact_id = contacts.contact_id

where
    not contacts.is_internal
    and not exists (
        select 1
        from products_owned
        where
            products_owned.account_id = contacts.account_id
            and products_owned.product_id = new_products.product_id
    )

group by
    interested.contact_id,
    new_products.product_id,
    new_products.product_name,
    new_products.category,
    new_products.launched_at
