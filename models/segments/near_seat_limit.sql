{# Owners and admins of accounts that pay, have nearly used up their seats and could have more. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

accounts as (
    select * from {{ ref('accounts') }}
)

select
    contacts.contact_id,
    contacts.seats,
    contacts.seats_used,
    contacts.plan_id

from contacts

inner join accounts
    on contacts.account_id = accounts.account_id

where
    contacts.role in ('owner', 'admin')
    and accounts.state = 'paid'
    and {{ in_good_standing('contacts') }}
    and contacts.seats > 0
    and contacts.seats_used * 100 >= contacts.seats * {{ var('seat_limit_percent') }}
    and (
        accounts.has_higher_plan
        or accounts.seat_limit is null
        or contacts.seats < accounts.seat_limit
    )
