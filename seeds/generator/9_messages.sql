-- What the e-mail tool and the app report of messages since March 2026, when the tool came.

create table recipients as
select
    n,
    email,
    permission = 'granted' as is_permitted,
    coalesce(revoked_at, timestamp '2100-01-01') as permitted_until,
    if(family in ('trial', 'paid', 'lead', 'shop'), signed_up_at, null) as welcomed_at,
    created_at,
    utc_offset,
    family in ('trial', 'paid') and signed_up_at is not null as is_member,
    until_at is not null and back_at is null as has_left,
    -- addresses that do not work, or not always, and people who press "spam"
    case
        when u(n, 'mailbox') < 0.012 then 'gone'
        when u(n, 'mailbox') < 0.03 then 'full'
        when u(n, 'mailbox') < 0.04 then 'complains'
        when u(n, 'mailbox') < 0.065 then 'unsubscribes'
        else 'works'
    end as mailbox,
    -- the message at which that happens
    draw(n, 'mailbox turn') % 5 as turn,
    u(n, 'opens') as opens
from people
where email is not null or signed_up_at is not null;

-- Events of messages from one moment to another, from messages sent up to three days earlier.
create macro arrived_message_events(first_moment, end_moment) as table
with

newsletter_days as (
    select
        cast(issue as bigint) as issue,
        -- the first Tuesday of the month
        month_start + to_days(cast((9 - isodow(month_start)) % 7 as integer)) as sent_day
    from (
        select
            issue,
            timestamp '2026-03-01' + to_months(cast(issue as integer)) as month_start
        from range(24) as issues (issue)
    )
),

newsletters as (
    select
        recipients.*,
        'newsletter_' || strftime(sent_day, '%Y_%m') as message,
        'email' as channel,
        sent_day + to_hours(9) - to_minutes(utc_offset) + to_seconds(n % 900) as sent_at,
        issue as nth
    from recipients
    cross join newsletter_days
    where
        sent_day >= first_moment - to_days(4)
        and sent_day < end_moment
        and is_permitted
        and email is not null
        and created_at < sent_day
        and permitted_until > sent_day
        -- bounced, complained or unsubscribed before
        and (mailbox in ('works', 'full') or issue <= turn)
),

welcomes as (
    select
        recipients.*,
        message,
        'email' as channel,
        after(welcomed_at, days) as sent_at,
        50 + step as nth
    from recipients
    cross join (
        values (1, 'onboarding_welcome', 0.01), (2, 'onboarding_tips', 3.0)
    ) as steps (step, message, days)
    where
        email is not null
        and welcomed_at >= timestamp '2026-03-01'
        and welcomed_at >= first_moment - to_days(8)
        and welcomed_at < end_moment
        and (step = 1 or mailbox != 'gone')
),

in_app as (
    select
        * exclude (day),
        'whats_new_' || strftime(opening() + to_days(cast(day as integer)), '%Y_%m') as message,
        'in_app' as channel,
        opening() + to_days(cast(day as integer)) + to_seconds(25000 + draw(n, 'in app') % 40000)
            as sent_at,
        1000 + day as nth
    from (
        select
            *,
            unnest(range(
                greatest(day_of(first_moment) - 3, day_of(timestamp '2026-03-01')),
                day_of(end_moment)
            )) as day
        from recipients
        where is_member and not has_left
    ) as days
    where
        created_at < opening() + to_days(cast(day as integer))
        and u(n * 2048 + day, 'banner') < 0.006
),

sent as (
    select
        *,
        n * 2048 + nth as key
    from (
        select * from newsletters
        union all
        select * from welcomes
        union all
        select * from in_app
    )
),

told as (
    select
        *,
        case
            when channel = 'in_app' then 'delivered'
            when mailbox = 'gone' and (nth >= 50 or nth = turn) then 'bounce_hard'
            when mailbox = 'full' and u(key, 'full') < 0.8 then 'bounce_soft'
            else 'delivered'
        end as outcome
    from sent
),

steps as (
    select *, 's' as step, 'sent' as type, 0 as seconds from told
    union all
    select *, 'd' as step, outcome as type, 2 + draw(key, 'delivered') % 50 as seconds from told
    union all
    select *, 'o' as step, 'open' as type, 60 + whole(150000 * cubed(u(key, 'opened'))) as seconds
    from told
    where outcome = 'delivered' and channel = 'email' and u(key, 'open') < 0.7 * opens
    union all
    select
        *,
        'c' as step,
        'click' as type,
        90 + whole(150000 * cubed(u(key, 'opened'))) as seconds
    from told
    where
        outcome = 'delivered'
        and u(key, 'click') < if(channel = 'email', 0.3 * squared(opens), 0.15)
        and (channel = 'in_app' or u(key, 'open') < 0.7 * opens)
    union all
    select *, 'x' as step, 'dismiss' as type, 100 + draw(key, 'dismissed') % 500 as seconds
    from told
    where channel = 'in_app' and u(key, 'click') > 0.6
    union all
    select *, 'r' as step, 'reply' as type, 4000 + draw(key, 'replied') % 80000 as seconds
    from told
    where outcome = 'delivered' and channel = 'email' and u(key, 'reply') < 0.003
    union all
    select
        *,
        'u' as step,
        if(mailbox = 'complains', 'spam_complaint', 'unsubscribe') as type,
        200 + draw(key, 'refused') % 9000 as seconds
    from told
    where
        outcome = 'delivered'
        and channel = 'email'
        and mailbox in ('complains', 'unsubscribes')
        and nth = turn
)

select
    'm' || to_base(key, 36) || step as id,
    -- the e-mail tool knows many by address alone
    if(channel = 'email' and u(n, 'known to tool') < 0.15, null, 'c' || n) as contact_id,
    case
        when channel = 'in_app' then null
        when u(n, 'address in tool') < 0.02 then upper(email)
        else email
    end as address,
    channel,
    type,
    message,
    cast(null as varchar) as decision_id,
    sent_at + to_seconds(seconds) as occurred_at
from steps
where sent_at + to_seconds(seconds) >= first_moment and sent_at + to_seconds(seconds) < end_moment;
