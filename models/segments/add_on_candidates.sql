{# Customers whose account lacks a product that goes with what it has. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

product_gaps as (
    select * from {{ ref('product_gaps') }}
)

select
    contacts.contact_id,
    product_gaps.product_id,
    product_gaps.product_name,
    product_gaps.owned_product_id,
    product_gaps.owned_product_name,
    product_gaps.owner_share,
    product_gaps.lift

from contacts

inner join product_gaps
    on contacts.contact_id = product_gaps.contact_id

where
    product_gaps.gap_rank = 1
    and {{ is_customer('contacts.stage') }}
    and {{ in_good_standing('contacts') }}
