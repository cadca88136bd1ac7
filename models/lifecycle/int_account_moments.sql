{# One row per account and moment at which its stage may have changed. #}
with spans as (
    select * from {{ ref('account_spans') }}
),

moments as (
    select
        account_id,
        started_at as moment
    from spans

    union

    select
        account_id,
        ended_at as moment
    from spans
    where kind in ('trial', 'paid', 'past_due')

    union

    select
        account_id,
        {{ just_after('started_at', var('new_days')) }} as moment
    from spans
    where kind in ('paid', 'ordering')

    union

    select
        account_id,
        {{ just_after('ended_at', var('at_risk_days')) }} as moment
    from spans
    where kind = 'active'

    union

    select
        account_id,
        {{ just_after('ended_at', var('order_at_risk_days')) }} as moment
    from spans
    where kind = 'ordering'

    union

    select
        account_id,
        {{ just_after('ended_at', var('order_churn_days')) }} as moment
    from spans
    where kind = 'ordering'
)

select
    account_id,
    moment

from moments

where moment <= {{ as_of() }}
