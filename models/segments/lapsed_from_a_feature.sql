{# Contacts who used a feature several times and have stopped: is something wrong? #}
with contacts as (
    select * from {{ ref('contacts') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
),

features as (
    select * from {{ ref('features') }}
)

-- of several such features the one that they used most
select
    contacts.contact_id,
    feature_adoption.feature_id,
    features.feature_name,
    feature_adoption.use_count,
    feature_adoption.last_used_at

from contacts

inner join feature_adoption
    on contacts.contact_id = feature_adoption.contact_id

inner join features
    on feature_adoption.feature_id = features.feature_id

where feature_adoption.is_lapsed

qualify row_number() over (
    partition by contacts.contact_id
    order by feature_adoption.use_count desc, feature_adoption.feature_id asc
) = 1
