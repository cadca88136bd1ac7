{# One row per contact and product that her account bought beside what it had. #}
select
    contact_id,
    happened_at,
    value

from {{ ref('first_purchases') }}

where is_added
