{# One row per contact and new product that her account bought. #}
select
    contact_id,
    happened_at,
    value

from {{ ref('first_purchases') }}

where is_new
