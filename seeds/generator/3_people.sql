-- Payers and their contacts. Payer 17 and contact 1234 are the same at any size of the company.

create table payers as
with

drawn as (
    select
        a,
        kinds.* exclude (copy, slot),
        u(a, 'company') < kinds.company as is_company,
        since_from + (since_to - since_from) * (1 - sqrt(u(a, 'since'))) as since_age
    from range(1, getvariable('contacts') + 1) as numbers (a)
    inner join kinds
        -- a low-discrepancy walk: the shares hold in every stretch of payers
        on (a * 618033 + draw(0, 'kinds')) % 1000000 // 1000 = kinds.slot
),

sized as (
    select
        *,
        case
            when not is_company then 1
            when family = 'lead' then 1 + whole(2.5 * squared(u(a, 'size')))
            when family = 'staff' then 3 + draw(a, 'size') % 6
            when u(a, 'large account') < 0.06 then 8 + whole(53 * squared(u(a, 'size')))
            else 1 + whole(7 * squared(u(a, 'size')))
        end as planned_size,
        until_from
        + (least(until_to, since_age * 0.9) - until_from) * u(a, 'until') as until_age,
        back_from + (back_to - back_from) * u(a, 'back') as back_age,
        case
            when family = 'trial' then since_age
            when family = 'paid' and u(a, 'tried') < 0.7 then since_age + 3 + 11 * u(a, 'decided')
        end as trial_age
    from drawn
),

numbered as (
    select
        *,
        cast(sum(planned_size) over (order by a rows unbounded preceding) as bigint)
        - planned_size as people_before
    from sized
),

dated as (
    select
        numbered.*,
        places.* exclude (copy, slot, share),
        least(planned_size, getvariable('contacts') - people_before) as size,
        happened(since_age, a) as since_at,
        happened(until_age, a) as until_at,
        happened(back_age, a) as back_at,
        happened(trial_age, a) as trial_at
    from numbered
    inner join places on draw(a, 'place') % 20 = places.slot
    where people_before < getvariable('contacts')
)

select
    a,
    kind,
    family,
    is_company,
    size,
    people_before,
    country,
    language,
    time_zone,
    utc_offset,
    currency,
    since_at,
    until_at,
    back_at,
    trial_at,
    -- some came long before they tried or bought
    case
        when family in ('paid', 'shop') and u(a, 'early') < 0.3
            then after(coalesce(trial_at, since_at), -25 * u(a, 'early by'))
        else coalesce(trial_at, since_at)
    end as born_at,
    pick(company_words(), a, 'word') || pick(company_trades(), a, 'trade') as company_name,
    case
        when not is_company then 'solo'
        when size <= 10 then pick(['team', 'team', 'team', 'business'], a, 'plan')
        when size <= 50 then pick(['business', 'business', 'business', 'enterprise'], a, 'plan')
        else 'enterprise'
    end as plan_id,
    case
        when not is_company or u(a, 'employees known') < 0.1 then null
        when kind = 'lead_large' then 200 + whole(4800 * cubed(u(a, 'employees')))
        when family = 'lead' then 2 + whole(190 * squared(u(a, 'employees')))
        when family = 'trial' and u(a, 'large') < 0.15
            then 200 + whole(2000 * cubed(u(a, 'employees')))
        else size * (1 + whole(30 * cubed(u(a, 'employees'))))
    end as employees
from dated;

create table people as
with

members as (
    select
        * exclude (size, people_before),
        people_before + k as n,
        case
            when k = 1 then born_at
            else part_way(
                born_at,
                if(back_at is null, coalesce(until_at, data_end()), data_end()),
                cubed(u(people_before + k, 'joined'))
            )
        end as joined_at
    from (
        select
            *,
            unnest(range(1, size + 1)) as k
        from payers
    ) as seated
),

cast_as as (
    select
        *,
        pick(first_names(), n, 'first name') as names,
        case
            when family in ('shop', 'reader', 'anonymous') then null
            when k = 1 then 'owner'
            when u(n, 'role') < if(k = 2, 0.4, 0.04) then 'billing'
            when u(n, 'role') < if(k = 2, 0.7, 0.18) then 'admin'
            else 'member'
        end as role
    from members
),

signed_up as (
    select
        *,
        case
            -- those who read first and bought later
            when family in ('shop', 'paid') and k = 1 and u(n, 'read first') < 0.1
                then greatest(after(joined_at, -150 * u(n, 'read for')), opening())
            else joined_at
        end as created_at,
        case
            when family in ('reader', 'anonymous') then null
            when kind in ('lead_large', 'lead_small') and u(n, 'login') < 0.7 then null
            when role = 'billing' and u(n, 'login') < 0.3 then null
            when k > 1 and u(n, 'login') < 0.04 then null
            else least(joined_at + to_seconds(draw(n, 'signed up') % 600), data_end())
        end as signed_up_at
    from cast_as
),

addressed as (
    select
        *,
        case
            when family = 'anonymous' or (k > 1 and u(n, 'address') < 0.015) then null
            when family = 'staff' then names[2] || n || '@acme.example'
            when is_company and k in (2, 3) and u(a, 'shared address') < 0.2
                then 'office@' || lower(company_name) || a || '.example'
            when is_company then names[2] || n || '@' || lower(company_name) || a || '.example'
            else names[2] || n || '@' || pick(['mail', 'post', 'inbox'], n, 'host') || '.example'
        end as own_email
    from signed_up
),

shoppers as (
    select
        n,
        own_email
    from addressed
    where family = 'shop'
),

-- a reader with the address of a shopper: one person, two contacts, and here she opted out
twins as (
    select
        readers.n,
        shoppers.own_email as email
    from addressed as readers
    asof inner join shoppers on readers.n > shoppers.n
    where readers.family = 'reader' and u(readers.n, 'twin') < 0.04
),

permitted as (
    select
        addressed.* exclude (own_email),
        coalesce(twins.email, addressed.own_email) as email,
        twins.n is not null as is_twin,
        case
            when own_email is null or family = 'staff' then 'none'
            when family = 'reader' then if(u(addressed.n, 'permits') < 0.96, 'granted', 'none')
            when u(addressed.n, 'permits') < 0.56 then 'granted'
            when u(addressed.n, 'permits') < 0.63 then 'refused'
            else 'none'
        end as permission
    from addressed
    left join twins on addressed.n = twins.n
)

select
    *,
    case
        when created_at < timestamp '2025-03-01' and u(n, 'imported') < 0.15
            then timestamp '2025-03-01'
        else coalesce(signed_up_at, created_at)
    end as stated_at,
    case
        when permission = 'granted' and (is_twin or u(n, 'revokes') < 0.07)
            then part_way(
                greatest(coalesce(signed_up_at, created_at), timestamp '2025-03-01'),
                data_end(),
                u(n, 'revoked')
            )
    end as revoked_at
from permitted;
