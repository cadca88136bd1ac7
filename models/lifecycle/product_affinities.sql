{# One row per product and other product that enough of its owners have too. #}
with products_owned as (
    select * from {{ ref('int_products_owned') }}
),

-- the most owned ones only: pairs grow with the square
popular as (
    select
        product_id,
        count(*) as owner_count
    from products_owned
    group by product_id
    qualify row_number() over (
        order by count(*) desc, product_id
    ) <= {{ var('affinity_products') }}
),

owned as (
    select
        products_owned.account_id,
        products_owned.product_id,
        products_owned.product_name,
        popular.owner_count
    from products_owned
    inner join popular
        on products_owned.product_id = popular.product_id
)

select
    owned.product_id,
    owned.product_name,
    also_owned.product_id as other_product_id,
    also_owned.product_name as other_product_name,
    cast(owned.owner_count as integer) as owner_count,
    cast(count(*) as integer) as shared_owner_count,
    cast(round(count(*) / owned.owner_count, 4) as decimal(5, 4)) as owner_share

from owned

inner join owned as also_owned
    on
        owned.account_id = also_owned.account_id
        and owned.product_id != also_owned.product_id

group by
    owned.product_id,
    owned.product_name,
    also_owned.product_id,
    also_owned.product_name,
    owned.owner_count

having
    count(*) >= {{ var('affinity_owners') }}
    and count(*) * 100 >= owned.owner_count * {{ var('affinity_percent') }}

-- the strongest ties are enough to find something to offer
qualify row_number() over (
    partition by owned.product_id
    order by count(*) desc, also_owned.product_id
) <= {{ var('affinities_per_product') }}
