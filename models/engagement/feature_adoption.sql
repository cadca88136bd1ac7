{# One row per contact and feature that she may use, or has used. #}
{{ config(materialized='view') }}

with features_used as (
    select * from {{ ref('int_features_used') }}
),

features as (
    select * from {{ ref('features') }}
)

select
    features_used.contact_id,
    features_used.feature_id,
    features.feature_name,
    features.released_at,
    features_used.eligible_since,
    coalesce(features_used.use_count, 0) as use_count,
    features_used.first_used_at,
    features_used.last_used_at,
    features.adoption_rate,
    features_used.eligible_since is not null as is_eligible,
    features_used.first_used_at is not null as is_tried,
    coalesce(
        features_used.last_used_at
        >= features_used.first_used_at + interval '{{ var("retained_days") }} days',
        false
    ) as is_retained,
    coalesce(
        features_used.eligible_since is not null
        and features_used.use_count >= {{ var('lapsed_uses') }}
        and {{ longer_ago('features_used.last_used_at', var('lapsed_days')) }},
        false
    ) as is_lapsed

from features_used

inner join features
    on features_used.feature_id = features.feature_id
