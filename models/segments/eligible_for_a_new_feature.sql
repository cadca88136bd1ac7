{# Contacts with a brand new feature in their plan that they have not used yet. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
)

-- of several new features the newest
select
    contacts.contact_id,
    feature_adoption.feature_id,
    feature_adoption.feature_name,
    feature_adoption.released_at,
    feature_adoption.adoption_rate

from contacts

inner join feature_adoption
    on contacts.contact_id = feature_adoption.contact_id

where
    feature_adoption.is_eligible
    and not feature_adoption.is_tried
    and {{ within_last('feature_adoption.released_at', var('new_feature_days')) }}

qualify row_number() over (
    partition by contacts.contact_id
    order by feature_adoption.released_at desc, feature_adoption.feature_id
) = 1
