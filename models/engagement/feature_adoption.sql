{# One row per contact and feature that she may use, or has used. #}
with contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

account_features as (
    select * from {{ ref('int_account_features') }}
),

activity_totals as (
    select * from {{ ref('activity_totals') }}
),

features as (
    select * from {{ ref('stg_features') }}
),

-- only who has a login can use anything
eligible as (
    select
        contacts.contact_id,
        account_features.feature_id,
        greatest(account_features.included_since, contacts.signed_up_at) as eligible_since
    from contacts
    inner join account_features
        on contacts.account_id = account_features.account_id
    where
        contacts.signed_up_at is not null
        and not contacts.is_internal
),

used as (
    select
        activity_totals.contact_id,
        activity_totals.feature_id,
        activity_totals.event_count,
        activity_totals.first_occurred_at,
        activity_totals.last_occurred_at
    from activity_totals
    inner join contacts
        on activity_totals.contact_id = contacts.contact_id
    where
        activity_totals.feature_id is not null
        and not contacts.is_internal
),

adoption as (
    select
        coalesce(eligible.contact_id, used.contact_id) as contact_id,
        coalesce(eligible.feature_id, used.feature_id) as feature_id,
        eligible.eligible_since,
        used.event_count as use_count,
        used.first_occurred_at as first_used_at,
        used.last_occurred_at as last_used_at
    from eligible
    full join used
        on
            eligible.contact_id = used.contact_id
            and eligible.feature_id = used.feature_id
),

rates as (
    select
        feature_id,
        cast(round(count(use_count) / count(*), 4) as decimal(5, 4)) as adoption_rate
    from adoption
    where eligible_since is not null
    group by feature_id
)

select
    adoption.contact_id,
    adoption.feature_id,
    features.feature_name,
    features.released_at,
    adoption.eligible_since,
    coalesce(adoption.use_count, 0) as use_count,
    adoption.first_used_at,
    adoption.last_used_at,
    rates.adoption_rate,
    adoption.eligible_since is not null as is_eligible,
    adoption.first_used_at is not null as is_tried,
    coalesce(
        adoption.last_used_at >= adoption.first_used_at + interval '{{ var("retained_days") }} days',
        false
    ) as is_retained,
    coalesce(
        adoption.eligible_since is not null
        and adoption.use_count >= {{ var('lapsed_uses') }}
        and {{ longer_ago('adoption.last_used_at', var('lapsed_days')) }},
        false
    ) as is_lapsed

from adoption

inner join features
    on adoption.feature_id = features.feature_id

left join rates
    on adoption.feature_id = rates.feature_id
