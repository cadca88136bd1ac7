{# Contacts with a feature that they could have used for weeks and never have. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
),

features as (
    select * from {{ ref('features') }}
)

-- of several such features the one that most of their peers have tried
select
    contacts.contact_id,
    feature_adoption.feature_id,
    features.feature_name,
    feature_adoption.eligible_since,
    features.adoption_rate

from contacts

inner join feature_adoption
    on contacts.contact_id = feature_adoption.contact_id

inner join features
    on feature_adoption.feature_id = features.feature_id

where
    not feature_adoption.is_tried
    -- what nobody has ever used is most likely unrecorded
    and features.tried_count > 0
    and {{ for_at_least('feature_adoption.eligible_since', var('never_tried_days')) }}

qualify row_number() over (
    partition by contacts.contact_id
    order by features.adoption_rate desc, feature_adoption.feature_id asc
) = 1
