{# One row per contact and feature that she may use, with how much she has. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

account_features as (
    select * from {{ ref('int_account_features') }}
),

activity_totals as (
    select * from {{ ref('activity_totals') }}
)

select
    contacts.contact_id,
    account_features.feature_id,
    greatest(account_features.included_since, contacts.signed_up_at) as eligible_since,
    coalesce(activity_totals.event_count, 0) as use_count,
    activity_totals.first_occurred_at as first_used_at,
    activity_totals.last_occurred_at as last_used_at,
    activity_totals.contact_id is not null as is_tried,
    coalesce(
        activity_totals.last_occurred_at
        >= activity_totals.first_occurred_at + interval '{{ var("retained_days") }} days',
        false
    ) as is_retained,
    coalesce(
        activity_totals.event_count >= {{ var('lapsed_uses') }}
        and {{ longer_ago('activity_totals.last_occurred_at', var('lapsed_days')) }}
        and {{ within_last('activity_totals.last_occurred_at', var('lapsed_until_days')) }},
        false
    ) as is_lapsed

from contacts

inner join account_features
    on contacts.account_id = account_features.account_id

left join activity_totals
    on
        contacts.contact_id = activity_totals.contact_id
        and account_features.feature_id = activity_totals.feature_id

-- only who has a login can use anything
where
    contacts.signed_up_at is not null
    and not contacts.is_internal
