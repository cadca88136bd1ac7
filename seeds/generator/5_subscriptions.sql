-- What the billing tool holds: amounts in cents, intervals in its own words.

create table seats_taken as
select
    a,
    count(*) as logins
from people
where signed_up_at is not null
group by a;

create table billed as
with

all_subscriptions as (
    select
        payers.*,
        '' as suffix,
        trial_at as trial_start,
        if(family = 'paid', since_at, null) as started_at,
        until_at as ended_at
    from payers
    where family in ('trial', 'paid')
    union all
    select
        payers.*,
        'b' as suffix,
        null as trial_start,
        back_at as started_at,
        null as ended_at
    from payers
    where family = 'paid' and back_at is not null
    union all
    -- a customer who tries another plan, or pays for a second one
    select
        payers.* replace (
            if(is_company, 'enterprise', 'solo') as plan_id
        ),
        'c' as suffix,
        if(u(a, 'second') < 0.05, ago(12 * u(a, 'second at')), null) as trial_start,
        if(
            u(a, 'second') < 0.05,
            null,
            part_way(since_at, data_end(), u(a, 'second at'))
        ) as started_at,
        null as ended_at
    from payers
    where kind in ('paid_steady', 'past_due') and is_company and u(a, 'second') < 0.1
),

counted as (
    select
        all_subscriptions.*,
        a * 4 + ascii(suffix || 'a') - 97 as s,
        coalesce(seats_taken.logins, 0) as logins,
        pick(
            ['monthly', 'monthly', 'monthly', 'monthly', 'monthly', 'quarterly', 'yearly', 'yearly',
                'yearly'],
            a * 4 + ascii(suffix || 'a'),
            'interval'
        ) as billing_interval
    from all_subscriptions
    left join seats_taken using (a)
),

seated as (
    select
        *,
        case billing_interval when 'monthly' then 1 when 'quarterly' then 3 else 12 end as months,
        case
            when plan_id = 'solo' then null
            when u(s, 'full') < 0.25 then greatest(logins, 3)
            else least(
                greatest(5, logins + 1 + whole(logins * (0.3 + 1.5 * u(s, 'spare')))),
                case plan_id when 'team' then 10 when 'business' then 50 else 1000 end
            )
        end as seats,
        case plan_id
            when 'solo' then 1200
            when 'team' then 900
            when 'business' then 1500
            else 2500
        end as seat_cents
    from counted
)

select * from seated;

create table raw_subscriptions as
select
    's' || a || suffix as id,
    if(is_company, 'a' || a, 'c' || (people_before + 1)) as customer_id,
    plan_id as plan,
    trial_start,
    case when kind != 'trial_open' then trial_start + to_days(14) end as trial_end,
    started_at,
    coalesce(
        ended_at,
        started_at + to_months(cast(
            (date_sub('month', started_at, clock()) // months + 1) * months as integer
        ))
    ) as current_period_end,
    if(started_at is null, null, billing_interval) as billing_interval,
    if(started_at is null, null, u(s, 'renews') > if(months = 12, 0.2, 0.06)) as auto_renew,
    case
        when kind = 'past_due' and suffix = '' then ago(1 + 18 * u(s, 'past due'))
        when ended_at is not null and u(s, 'why') < 0.3 then ended_at - to_days(14)
    end as past_due_since,
    case
        when kind = 'cancelling' then ago(20 * u(s, 'cancels'))
        when ended_at is not null and u(s, 'why') >= 0.3
            then after(ended_at, -25 * u(s, 'cancels'))
    end as cancel_requested_at,
    ended_at,
    seats,
    if(seats is null, null, logins) as seats_used,
    if(u(s, 'currency') < 0.03, lower(currency), currency) as currency,
    case
        when started_at is null or u(s, 'unknown') < 0.012 then null
        when months = 12 then seat_cents * coalesce(seats, 1) * 9 // 10
        else seat_cents * coalesce(seats, 1)
    end as mrr_cents
from billed;
