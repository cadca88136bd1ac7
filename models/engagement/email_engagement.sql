{# One row per e-mail address that was ever written to. #}
with daily_messages as (
    select * from {{ ref('daily_messages') }}
),

mails as (
    select
        address,
        event_type,
        event_count,
        last_occurred_at,
        occurred_on > {{ company_date(as_of()) }} - 90 as is_recent
    from daily_messages
    where
        channel = 'email'
        and address is not null
),

histories as (
    select
        address,
        max(last_occurred_at) filter (where event_type = 'clicked') as last_clicked_at,
        max(last_occurred_at) filter (where event_type in ('clicked', 'replied'))
            as last_reacted_at,
        max(last_occurred_at) filter (
            where event_type in ('delivered', 'opened', 'clicked', 'replied')
        ) as last_arrived_at,
        sum(event_count) filter (where event_type = 'sent' and is_recent) as sent_90,
        bool_or(event_type = 'hard_bounced') as has_hard_bounced,
        bool_or(event_type = 'complained') as has_complained
    from mails
    group by address
),

soft_bounces as (
    select
        mails.address,
        sum(mails.event_count) as bounce_count
    from mails
    inner join histories
        on mails.address = histories.address
    where
        mails.event_type = 'soft_bounced'
        and mails.is_recent
        and (
            histories.last_arrived_at is null
            or mails.last_occurred_at > histories.last_arrived_at
        )
    group by mails.address
)

select
    histories.address,
    histories.last_clicked_at,
    histories.last_reacted_at,
    cast(coalesce(histories.sent_90, 0) as integer) as sent_90,
    cast(coalesce(soft_bounces.bounce_count, 0) as integer) as soft_bounces_in_a_row,
    histories.has_hard_bounced,
    histories.has_complained

from histories

left join soft_bounces
    on histories.address = soft_bounces.address
