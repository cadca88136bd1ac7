-- What people did, day by day. `arrived_events` can be asked for any stretch of time, so that
-- 100 million events are written month by month and a later day can be added to them.

create table feature_use as
with

wanted as (
    select
        n,
        plan_id,
        coalesce(
            nullif(concat(
                if(u(n, 'dashboards') < 0.95, 'a', ''),
                if(u(n, 'reports') < 0.75, 'b', ''),
                if(u(n, 'exports') < 0.6, 'c', ''),
                if(u(n, 'alerts') < 0.45, 'd', ''),
                if(plan_id != 'solo' and u(n, 'automations') < 0.35, 'e', ''),
                if(plan_id != 'solo' and u(n, 'api') < 0.25, 'f', ''),
                if(plan_id in ('business', 'enterprise') and u(n, 'roles') < 0.3, 'g', ''),
                if(plan_id in ('business', 'enterprise') and u(n, 'audit log') < 0.15, 'h', ''),
                if(plan_id = 'enterprise' and u(n, 'sso') < 0.4, 'i', '')
            ), ''),
            'a'
        ) as codes
    from people
    where signed_up_at is not null and family in ('trial', 'paid', 'staff')
)

select
    n,
    codes as codes_before,
    -- some stop to use one of them
    if(
        len(codes) > 1 and u(n, 'drops') < 0.3,
        replace(codes, codes[1 + draw(n, 'dropped') % len(codes)], ''),
        codes
    ) as codes_after,
    day_of(ago(35 + 90 * u(n, 'drops at'))) as dropped_day,
    plan_id != 'solo' and u(n, 'curious') < 0.3 as uses_new
from wanted;

create table visitors as
with

members as (
    select
        people.*,
        feature_use.n is not null as is_member,
        codes_before,
        codes_after,
        dropped_day,
        uses_new,
        u(n, 'habit') * if(k = 1, 0.62, 1) as habit,
        case
            when kind in ('trial_lapsed', 'trial_old') then trial_at + to_days(14)
            when family = 'paid' and back_at is null and until_at is not null then until_at
            when kind = 'paid_quiet' then ago(16 + 40 * u(a, 'quiet since'))
            when k > 1 and family = 'paid' and u(n, 'moved on') < 0.08
                then part_way(signed_up_at, data_end(), u(n, 'moved on at'))
            when family = 'anonymous' then after(created_at, 6)
            when kind in ('shop_left', 'shop_left_recently')
                then after(until_at, 120 * u(n, 'looked back'))
        end as last_seen_at
    from people
    left join feature_use using (n)
    where kind not in ('lead_large', 'lead_small') or signed_up_at is not null
),

paced as (
    select
        *,
        case
            when not is_member then case
                when family = 'anonymous' then 0.45
                when u(n, 'looks in') < 0.2 then 0
                when family = 'reader' then 0.012
                else 0.045 * u(n, 'looks')
            end
            when habit < 0.07 then 0.88
            when habit < 0.24 then 0.2
            when habit < 0.6 then if(k = 1, 0.15, 0.04)
            else 0.01
        end as pace
    from members
)

select
    n,
    is_member,
    is_company,
    day_of(if(is_member, signed_up_at, created_at)) + 1 as first_day,
    coalesce(day_of(last_seen_at), 100000) as last_day,
    case
        when kind = 'paid_fading' then day_of(data_end()) - 28
        when back_at is not null then day_of(until_at)
        when until_at is not null and family = 'paid' then day_of(until_at) - 30
        else 100000
    end as fade_day,
    case
        when family = 'paid' and back_at is not null then day_of(back_at)
        else 200000
    end as return_day,
    if(kind = 'paid_fading', 0.12, if(back_at is not null, 0, 0.4)) as fade_to,
    pace,
    if(is_company, 0.22, 0.85) as weekend_pace,
    utc_offset,
    -- company people work in office hours, the others in the evening
    if(is_company, 7, 9) as first_hour,
    is_member and u(n, 'activates') < if(family = 'trial', 0.5, 0.95) as activates,
    family = 'trial' as is_trial,
    signed_up_at,
    codes_before,
    codes_after,
    dropped_day,
    uses_new
from paced;

create macro topics() as
    ['reporting', 'automation', 'security', 'pricing', 'templates', 'customer stories'];

create macro feature_of(code) as ['dashboards', 'reports', 'exports', 'alerts', 'automations',
    'api', 'roles', 'audit_log', 'sso'][ascii(code) - 96];

-- the day from which a feature could be used
create macro usable_from(code) as case code
    when 'e' then 254
    when 'h' then 429
    when 'i' then 653
    else 0
end;

-- Events that reached the event table from one moment to another. They happened up to three days
-- earlier. per_day: events on a member's active day.
create macro arrived_events(first_moment, end_moment, per_day) as table
with

days as (
    select
        *,
        unnest(range(
            greatest(first_day, day_of(first_moment) - 3), least(last_day + 1, day_of(end_moment))
        )) as day
    from visitors
    where pace > 0
),

active_days as (
    select
        *,
        n * 2048 + day as key
    from days
    where
        u(n * 2048 + day, 'active') < pace
        * if((day % 7) in (5, 6), weekend_pace, 1)
        * if(day >= fade_day and day < return_day, fade_to, 1)
),

drawn as (
    select
        *,
        draw(moment_key, 'what') % 1000 as what,
        draw(moment_key, 'which') as which,
        opening() + to_days(cast(day as integer)) + to_seconds(
            (
                first_hour * 3600
                + draw(moment_key, 'hour') % 23400 + draw(moment_key, 'hours') % 23400
                - utc_offset * 60 + 86400
            ) % 86400
        ) as occurred_at
    from (
        select
            *,
            draw(key, 'moment') + i * 7919 as moment_key
        from (
            select
                *,
                unnest(range(1 + if(
                    is_member,
                    whole((per_day - 1) * 2 * u(key, 'busy') + u(key, 'more')),
                    draw(key, 'more') % 5 // 3
                ))) as i
            from active_days
        ) as counted
    ) as keyed
),

named as (
    select
        *,
        case
            when not is_member then case
                when what < 430 then 'page_viewed'
                when what < 760 then 'content_viewed'
                else 'product_viewed'
            end
            when is_trial and not activates then case
                when what < 450 then 'signed_in'
                when what < 650 then 'content_viewed'
                else 'feature_used'
            end
            when what < 60 then 'signed_in'
            when what < 100 then 'content_viewed'
            when what < 115 then 'product_viewed'
            when what < 165 then 'project_created'
            when what < 215 then 'report_shared'
            when what < 230 and is_company then 'teammate_invited'
            else 'feature_used'
        end as event
    from drawn
),

onboarding as (
    select
        *,
        after(signed_up_at, steps.days) as occurred_at
    from visitors
    cross join (
        values
            (1, 'signed_in', 0.002, null),
            (2, 'project_created', 0.01, null),
            (3, 'feature_used', 0.04, 'dashboards'),
            (4, 'report_shared', 0.9, null),
            (5, 'teammate_invited', 1.2, null)
    ) as steps (step, event, days, feature)
    where
        is_member
        and (activates or step = 1)
        and (is_company or step < 5)
        and signed_up_at >= first_moment - to_days(4)
        and signed_up_at < end_moment
),

happened_events as (
    select
        'e' || to_base(key, 36) || if(i = 0, '', '.' || i) as id,
        -- events of people whom the app database has deleted
        if(draw(moment_key, 'deleted') % 1500 = 0, 'x', 'c') || n as contact_id,
        event,
        if(
            event = 'feature_used',
            case
                when uses_new and day > 893 and which % 10 < 4 then 'ai_assistant'
                else feature_of(code)
            end,
            null
        ) as feature,
        case event
            when 'content_viewed' then topics()[1 + which % 6]
            when 'product_viewed' then if(
                u(n, 'favours') < 0.7,
                favourite(n),
                ['templates', 'integrations', 'training', 'hardware'][1 + which % 4]
            )
        end as topic,
        occurred_at,
        occurred_at + to_seconds(if(
            which % 211 = 0, 20000 + draw(moment_key, 'late') % 180000, 1 + which % 97
        )) as received_at
    from (
        select
            * exclude (code),
            if(day < usable_from(code), 'a', code) as code
        from (
            select
                *,
                if(day < dropped_day, codes_before, codes_after)[
                    1 + which % len(if(day < dropped_day, codes_before, codes_after))
                ] as code
            from named
        ) as coded
    ) as usable
    union all
    select
        'e' || to_base(n, 36) || '-' || step as id,
        'c' || n as contact_id,
        event,
        feature,
        null as topic,
        occurred_at,
        occurred_at + to_seconds(2) as received_at
    from onboarding
)

select * from happened_events
where received_at >= first_moment and received_at < end_moment;
