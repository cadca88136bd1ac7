{# One row per contact and product that her account lacks and that goes with what it has. #}
with products_owned as (
    select * from {{ ref('int_products_owned') }}
),

product_affinities as (
    select * from {{ ref('product_affinities') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

-- a product may follow from several owned ones; the strongest tie counts
gaps as (
    select
        products_owned.account_id,
        product_affinities.other_product_id as product_id,
        product_affinities.other_product_name as product_name,
        product_affinities.product_id as owned_product_id,
        product_affinities.product_name as owned_product_name,
        product_affinities.owner_share,
        product_affinities.lift
    from products_owned
    inner join product_affinities
        on products_owned.product_id = product_affinities.product_id
    where
        not exists (
            select 1
            from products_owned as also_owned
            where
                also_owned.account_id = products_owned.account_id
                and also_owned.product_id = product_affinities.other_product_id
        )
    qualify row_number() over (
        partition by products_owned.account_id, product_affinities.other_product_id
        order by product_affinities.lift desc, product_affinities.product_id asc
    ) = 1
),

ranked as (
    select
        account_id,
        product_id,
        product_name,
        owned_product_id,
        owned_product_name,
        owner_share,
        lift,
        cast(row_number() over (
            partition by account_id
            order by lift desc, product_id asc
        ) as integer) as gap_rank
    from gaps
)

select
    contacts.contact_id,
    ranked.product_id,
    ranked.product_name,
    ranked.owned_product_id,
    ranked.owned_product_name,
    ranked.owner_share,
    ranked.lift,
    ranked.gap_rank

from ranked

inner join contacts
    on ranked.account_id = contacts.account_id

where
    not contacts.is_internal
    and ranked.gap_rank <= {{ var('product_gaps') }}
