{# Contacts in two segments that shut each other out. #}
with trials_starting as (
    select * from {{ ref('trials_starting') }}
),

trials_not_activated as (
    select * from {{ ref('trials_not_activated') }}
),

trials_ending as (
    select * from {{ ref('trials_ending') }}
),

carts_abandoned as (
    select * from {{ ref('carts_abandoned') }}
),

carts_abandoned_after_discount as (
    select * from {{ ref('carts_abandoned_after_discount') }}
),

churned_customers as (
    select * from {{ ref('churned_customers') }}
),

win_back_candidates as (
    select * from {{ ref('win_back_candidates') }}
),

promoters as (
    select * from {{ ref('promoters') }}
),

detractors as (
    select * from {{ ref('detractors') }}
),

members as (
    select
        contact_id,
        'trials' as kind
    from trials_starting

    union all

    select
        contact_id,
        'trials' as kind
    from trials_not_activated

    union all

    select
        contact_id,
        'trials' as kind
    from trials_ending

    union all

    select
        contact_id,
        'carts' as kind
    from carts_abandoned

    union all

    select
        contact_id,
        'carts' as kind
    from carts_abandoned_after_discount

    union all

    select
        contact_id,
        'former customers' as kind
    from churned_customers

    union all

    select
        contact_id,
        'former customers' as kind
    from win_back_candidates

    union all

    select
        contact_id,
        'answers' as kind
    from promoters

    union all

    select
        contact_id,
        'answers' as kind
    from detractors
)

select
    contact_id,
    kind

from members

group by
    contact_id,
    kind

having count(*) > 1
