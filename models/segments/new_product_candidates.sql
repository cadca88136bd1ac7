{# Contacts with a new product in a category that they bought from or looked at. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

new_product_matches as (
    select * from {{ ref('new_product_matches') }}
)

-- of several new products the newest
select
    contacts.contact_id,
    new_product_matches.product_id,
    new_product_matches.product_name,
    new_product_matches.category,
    new_product_matches.launched_at,
    new_product_matches.interest

from contacts

inner join new_product_matches
    on contacts.contact_id = new_product_matches.contact_id

where
    contacts.stage != 'churned'
    and {{ in_good_standing('contacts') }}

qualify row_number() over (
    partition by contacts.contact_id
    order by new_product_matches.launched_at desc, new_product_matches.product_id asc
) = 1
