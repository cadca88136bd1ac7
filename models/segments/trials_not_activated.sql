{# Trial users who have had a few days and not got the product to work. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

trials_ending as (
    select * from {{ ref('trials_ending') }}
)

select
    contacts.contact_id,
    contacts.trial_day,
    contacts.trial_ends_at,
    contacts.last_active_at

from contacts

where
    contacts.stage = 'trial'
    and contacts.trial_day >= {{ var('trial_start_days') }}
    and contacts.activated_at is null
    -- where nobody ever activated, nothing is recorded that tells
    and exists (
        select 1
        from contacts as peers
        where peers.activated_at is not null
    )
    and not exists (
        select 1
        from trials_ending
        where trials_ending.contact_id = contacts.contact_id
    )
