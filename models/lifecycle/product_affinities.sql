{# One row per product and other product that its owners have more often than others do. #}
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
),

owners as (
    select count(distinct account_id) as account_count
    from products_owned
),

pairs as (
    select
        owned.product_id,
        owned.product_name,
        also_owned.product_id as other_product_id,
        also_owned.product_name as other_product_name,
        owned.owner_count,
        also_owned.owner_count as other_owner_count,
        count(*) as shared_owner_count
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
        owned.owner_count,
        also_owned.owner_count
),

-- lift: the share of the product's owners who have the other, over that of all who own anything
measured as (
    select
        pairs.product_id,
        pairs.product_name,
        pairs.other_product_id,
        pairs.other_product_name,
        pairs.owner_count,
        pairs.shared_owner_count,
        pairs.shared_owner_count / pairs.owner_count as owner_share,
        pairs.shared_owner_count / pairs.owner_count
        / (pairs.other_owner_count / owners.account_count) as lift
    from pairs
    cross join owners
)

select
    product_id,
    product_name,
    other_product_id,
    other_product_name,
    cast(owner_count as integer) as owner_count,
    cast(shared_owner_count as integer) as shared_owner_count,
    cast(round(owner_share, 4) as decimal(5, 4)) as owner_share,
    cast(round(lift, 4) as decimal(18, 4)) as lift

from measured

where
    shared_owner_count >= {{ var('affinity_owners') }}
    and owner_share * 100 >= {{ var('affinity_percent') }}
    and round(lift * 100, 2) >= {{ var('affinity_lift_percent') }}

-- the strongest ties are enough to find something to offer
qualify row_number() over (
    partition by product_id
    order by round(lift, 4) desc, other_product_id
) <= {{ var('affinities_per_product') }}
