{# Contacts who used a feature several times and have stopped: is something wrong? #}
with contacts as (
    select * from {{ ref('contacts') }}
),

feature_adoption as (
    select * from {{ ref('feature_adoption') }}
)

-- of several such features the one that they used most
select
    contacts.contact_id,
    feature_adoption.feature_id,
    feature_adoption.feature_name,
    feature_adoption.use_count,
    feature_adoption.last_used_at

from contacts

inner join feature_adoption
    on contacts.contact_id = feature_adoption.contact_id

where feature_adoption.is_lapsed

qualify row_number() over (
    partition by contacts.contact_id
    order by feature_adoption.use_count desc, feature_adoption.feature_id
) = 1
