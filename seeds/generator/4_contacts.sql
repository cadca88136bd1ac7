-- What the app database, the CRM and the consent log hold of people, as dirty as they hold it.

create table raw_contacts as
with

written as (
    select
        n,
        'c' || n as id,
        if(is_company, 'a' || a, null) as account_id,
        case
            when email is null then if(u(n, 'blank') < 0.3, '  ', null)
            when u(n, 'email written') < 0.02 then upper(email)
            when u(n, 'email written') < 0.03 then ' ' || email || ' '
            else email
        end as email,
        case
            when u(n, 'verified') < 0.92 and email is not null
                then least(signed_up_at + to_seconds(60 + draw(n, 'verified') % 9000), data_end())
        end as email_verified_at,
        case
            when family = 'anonymous' or u(n, 'named') < 0.06 then null
            when u(n, 'named') < 0.08 then '  '
            else names[1]
        end as first_name,
        if(u(n, 'role written') < 0.03, upper(role), role) as role,
        case
            when not is_company or u(n, 'titled') < 0.25 then null
            when role = 'owner' then pick(['CEO', 'Head of Operations', 'COO'], n, 'title')
            when role = 'billing' then pick(['Accountant', 'Office manager'], n, 'title')
            else pick(['Analyst', 'Engineer', 'Marketing manager', 'Team lead'], n, 'title')
        end as job_title,
        case
            when u(n, 'country') < 0.04 then null
            when u(n, 'country') < 0.06 then lower(country)
            else country
        end as country,
        case
            when u(n, 'locale') < 0.05 then null
            when u(n, 'locale') < 0.15 then replace(language, '-', '_')
            else language
        end as locale,
        case
            when n % 700 = 17 then pick(['Mars/Phobos', 'GMT+25'], n, 'no zone')
            when u(n, 'zone') < 0.06 then null
            else time_zone
        end as time_zone,
        if(
            u(n, 'source known') < 0.85,
            pick(
                ['organic', 'organic', 'paid_search', 'referral', 'partner', 'event'], n, 'source'
            ),
            null
        ) as source,
        case
            when kind = 'lead_large' then pick(
                ['lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity'], a, 'sales'
            )
            when family = 'lead' and is_company then pick(
                ['lead', 'lead', 'lead', 'marketingqualifiedlead', 'salesqualifiedlead'], a, 'sales'
            )
            when family = 'trial' and is_company then pick(
                ['lead', 'lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity'],
                a,
                'sales'
            )
            when family = 'paid' and is_company then 'customer'
            when family in ('anonymous', 'staff') or u(n, 'in crm') < 0.4 then null
            when family = 'reader' then 'subscriber'
            when family in ('lead', 'trial') or kind = 'shop_browser' then 'lead'
            else 'customer'
        end as sales_stage,
        created_at,
        signed_up_at,
        family = 'staff' as is_staff,
        part_way(coalesce(signed_up_at, created_at), data_end(), u(n, 'changed')) as updated_at
    from people
)

select * exclude (n)
from written
union all
-- the export sometimes holds an older version too, and sometimes the same row twice
select * exclude (n) replace (
    null as first_name,
    lower(country) as country,
    if(u(n, 'exported') < 0.012, created_at, updated_at) as updated_at
)
from written
where u(n, 'exported') < 0.012
union all
select * exclude (n)
from written
where u(n, 'exported') > 0.997;

create table raw_accounts as
select
    'a' || a as id,
    company_name || ' ' || case
        when country = 'DE' then 'GmbH'
        when country = 'FR' then 'SAS'
        when country = 'US' then 'Inc.'
        else 'Ltd'
    end as name,
    if(
        u(a, 'industry known') < 0.88,
        pick(
            ['software', 'retail', 'manufacturing', 'health', 'education', 'finance', 'media'],
            a,
            'industry'
        ),
        null
    ) as industry,
    employees as employee_count,
    if(u(a, 'account country') < 0.05, lower(country), country) as country,
    if(
        employees >= 100 or size >= 15,
        pick(['ines@acme.example', 'noah@acme.example', 'uma@acme.example'], a, 'owner'),
        null
    ) as owner,
    born_at as created_at
from payers
where is_company;

-- Visitors who were recognised, readers who were entered twice, and chains of both.
create table raw_contact_merges as
with

known as (
    select
        n,
        created_at
    from people
    where family in ('shop', 'trial', 'paid') and k = 1 and signed_up_at is not null
),

doubles as (
    select
        n,
        created_at
    from people
    where family = 'reader' and not is_twin and u(n, 'double') < 0.03
),

visitors as (
    select
        n,
        created_at,
        u(n, 'recognised') < 0.06 as is_chained
    from people
    where family = 'anonymous' and u(n, 'recognised') < 0.4
),

pairs as (
    select
        gone.n,
        known.n as into_n,
        greatest(gone.created_at, known.created_at) as possible_at
    from (
        select * from doubles
        union all
        select
            n,
            created_at
        from visitors
        where not is_chained
    ) as gone
    asof inner join known on gone.n < known.n
    union all
    select
        visitors.n,
        doubles.n as into_n,
        greatest(visitors.created_at, doubles.created_at) as possible_at
    from visitors
    asof inner join doubles on visitors.n < doubles.n
    where visitors.is_chained
)

select
    'c' || n as merged_id,
    'c' || into_n as into_id,
    least(after(possible_at, 3 * u(n, 'merged')), data_end()) as merged_at
from pairs;

create table raw_consents as
with

stated as (
    select
        n,
        'email' as channel,
        'marketing' as purpose,
        permission as status,
        stated_at as recorded_at,
        case
            when hour(stated_at) = 0 and minute(stated_at) = 0 then 'import'
            when family = 'reader' then 'newsletter_form'
            else 'signup_form'
        end as source
    from people
    where permission != 'none'
    union all
    select
        n,
        'email' as channel,
        'marketing' as purpose,
        'revoked' as status,
        revoked_at as recorded_at,
        if(u(n, 'revoked in') < 0.7, 'preference_page', 'support') as source
    from people
    where revoked_at is not null
    union all
    -- a change of mind, and not by those who opted out under a second contact
    select
        n,
        'email' as channel,
        'marketing' as purpose,
        'granted' as status,
        part_way(revoked_at, data_end(), 0.5) as recorded_at,
        'preference_page' as source
    from people
    where revoked_at is not null and not is_twin and u(n, 'regrets') < 0.15
    union all
    select
        n,
        'in_app' as channel,
        'marketing' as purpose,
        if(u(n, 'in app') < 0.02, 'refused', 'granted') as status,
        part_way(signed_up_at, data_end(), u(n, 'in app at')) as recorded_at,
        'settings' as source
    from people
    where signed_up_at is not null and u(n, 'in app') < 0.05
    union all
    select
        n,
        'email' as channel,
        'profiling' as purpose,
        'refused' as status,
        part_way(created_at, data_end(), u(n, 'profiling at')) as recorded_at,
        'preference_page' as source
    from people
    where email is not null and u(n, 'profiling') < 0.012
    union all
    select
        n,
        'email' as channel,
        'service' as purpose,
        'refused' as status,
        part_way(created_at, data_end(), u(n, 'service at')) as recorded_at,
        'support' as source
    from people
    where email is not null and u(n, 'service') < 0.004
)

select
    'c' || n as contact_id,
    channel,
    purpose,
    status,
    recorded_at,
    source
from stated
union all
-- two forms of one second that contradict each other
select
    'c' || n as contact_id,
    channel,
    purpose,
    if(status = 'granted', 'refused', 'granted') as status,
    recorded_at,
    'import' as source
from stated
where purpose = 'marketing' and u(n, 'contradicts') < 0.004;
