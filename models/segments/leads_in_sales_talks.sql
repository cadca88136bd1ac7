{# Contacts with whom sales is talking and who do not pay yet. #}
with contacts as (
    select * from {{ ref('contacts') }}
)

select
    contact_id,
    sales_stage,
    stage,
    account_owner

from contacts

where
    sales_stage in ('sales_qualified', 'opportunity')
    and not {{ is_customer('stage') }}
