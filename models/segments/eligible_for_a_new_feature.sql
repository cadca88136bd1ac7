{# Contacts with a brand new feature in their plan that they have not used yet. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
),

features as (
    select * from {{ ref('features') }}
)

-- of several new features the newest
select
    contacts.contact_id,
    feature_adoption.feature_id,
    features.feature_name,
    features.released_at,
    features.adoption_rate

from contacts

inner join feature_adoption
    on contacts.contact_id = feature_adoption.contact_id

inner join features
    on feature_adoption.feature_id = features.feature_id

where
    not feature_adoption.is_tried
    and {{ within_last('features.released_at', var('new_feature_days')) }}

qualify row_number() over (
    partition by contacts.contact_id
    order by features.released_at desc, feature_adoption.feature_id asc
) = 1
