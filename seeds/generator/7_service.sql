-- Tickets of the help desk, and surveys.

create table raw_tickets as
with

opened as (
    select
        n * 8 + t as key,
        n,
        t,
        greatest(
            after(coalesce(signed_up_at, created_at), 0.01),
            ago(if(t = 1, 120, 700) * squared(u(n * 8 + t, 'opened')))
        ) as opened_at
    from (
        select
            *,
            unnest(range(1, 2 + whole(3 * squared(u(n, 'tickets'))))) as t
        from people
        where
            family in ('trial', 'paid', 'shop')
            and signed_up_at < ago(0.5)
            and u(n, 'asks for help') < if(kind in ('paid_fading', 'paid_quiet'), 0.3, 0.12)
    )
),

handled as (
    select
        *,
        if(
            opened_at > ago(21) and u(key, 'open') < 0.3,
            null,
            after(opened_at, 0.02 + 5 * cubed(u(key, 'handled')))
        ) as handled_at
    from opened
)

select
    't' || n || '_' || t as id,
    'c' || n as requester_id,
    opened_at,
    if(handled_at < data_end(), handled_at, null) as closed_at,
    case
        when u(key, 'priority known') < 0.1 then null
        when u(key, 'priority known') < 0.15 then 'HIGH'
        else pick(['low', 'normal', 'normal', 'normal', 'high', 'urgent'], key, 'priority')
    end as priority,
    if(
        handled_at < data_end() and u(key, 'rated') < 0.4,
        pick([1, 2, 3, 4, 4, 5, 5, 5], key, 'rating'),
        null
    ) as satisfaction
from handled;

create table raw_surveys as
with

asked as (
    select
        n * 4 + q as key,
        n,
        q,
        ago(4 + 80 * u(n, 'asked') + 110 * (q - 1)) as asked_at,
        q > 1 or u(n, 'asked late') < 0.5 as is_asked,
        greatest(since_at, signed_up_at) as customer_since
    from (
        select
            *,
            unnest(range(1, 4)) as q
        from people
        where
            family in ('paid', 'shop')
            and kind != 'shop_browser'
            and signed_up_at is not null
            and u(n, 'in panel') < 0.45
            and (until_at is null or family = 'shop')
    )
)

select
    'n' || n || '_' || q as id,
    'c' || n as contact_id,
    if(u(key, 'written') < 0.05, 'NPS', 'nps') as type,
    asked_at,
    if(u(key, 'answers') < 0.55, after(asked_at, 3.5 * cubed(u(key, 'answered'))), null)
        as answered_at,
    -- a person's answers stay near each other
    if(
        u(key, 'answers') < 0.55,
        greatest(0, least(10, whole(1 + 12 * sqrt(u(n, 'happy'))) - draw(key, 'mood') % 2)),
        null
    ) as score
from asked
where is_asked and asked_at > after(customer_since, 30)
union all
select
    'r' || substr(id, 2) as id,
    requester_id as contact_id,
    'csat' as type,
    closed_at as asked_at,
    if(satisfaction is null, null, closed_at + to_hours(2)) as answered_at,
    satisfaction as score
from raw_tickets
where closed_at < ago(1);
