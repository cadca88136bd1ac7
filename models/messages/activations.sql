{# One row per contact who got the product to work, when she did. #}
select
    contact_id,
    activated_at as happened_at

from {{ ref('contacts') }}

where activated_at is not null
