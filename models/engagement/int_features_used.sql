{# One row per contact and feature that she may use, or has used: since when, and how much. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

account_features as (
    select * from {{ ref('int_account_features') }}
),

activity_totals as (
    select * from {{ ref('activity_totals') }}
),

-- only who has a login can use anything
users as (
    select
        contact_id,
        account_id,
        signed_up_at
    from contacts
    where
        signed_up_at is not null
        and not is_internal
)

select
    users.contact_id,
    account_features.feature_id,
    greatest(account_features.included_since, users.signed_up_at) as eligible_since,
    activity_totals.event_count as use_count,
    activity_totals.first_occurred_at as first_used_at,
    activity_totals.last_occurred_at as last_used_at

from users

inner join account_features
    on users.account_id = account_features.account_id

left join activity_totals
    on
        users.contact_id = activity_totals.contact_id
        and account_features.feature_id = activity_totals.feature_id

union all

-- used, and not in the plan, or not in it any more
select
    users.contact_id,
    activity_totals.feature_id,
    null as eligible_since,
    activity_totals.event_count as use_count,
    activity_totals.first_occurred_at as first_used_at,
    activity_totals.last_occurred_at as last_used_at

from activity_totals

inner join users
    on activity_totals.contact_id = users.contact_id

where
    activity_totals.feature_id is not null
    and not exists (
        select 1
        from account_features
        where
            account_features.account_id = users.account_id
            and account_features.feature_id = activity_totals.feature_id
    )
