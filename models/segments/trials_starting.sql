{# Trial users in their first days. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

trials_ending as (
    select * from {{ ref('trials_ending') }}
),

trials_not_activated as (
    select * from {{ ref('trials_not_activated') }}
)

select
    contacts.contact_id,
    contacts.trial_day,
    contacts.trial_started_at,
    contacts.activated_at

from contacts

where
    contacts.stage = 'trial'
    and contacts.trial_day <= {{ var('trial_start_days') }}
    and not exists (
        select 1
        from trials_ending
        where trials_ending.contact_id = contacts.contact_id
    )
    and not exists (
        select 1
        from trials_not_activated
        where trials_not_activated.contact_id = contacts.contact_id
    )
