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
        occurred_on > {{ company_date(as_of()) }} - 90 as is_recent,
        max(last_occurred_at) filter (
            where event_type in ('delivered', 'opened', 'clicked', 'replied')
        ) over (partition by address) as last_arrived_at
    from daily_messages
    where
        channel = 'email'
        and address is not null
)

select
    address,
    max(last_occurred_at) filter (where event_type = 'clicked') as last_clicked_at,
    max(last_occurred_at) filter (where event_type in ('clicked', 'replied')) as last_reacted_at,
    cast(coalesce(
        sum(event_count) filter (where event_type = 'sent' and is_recent), 0
    ) as integer) as sent_90,
    cast(coalesce(
        sum(event_count) filter (
            where
                event_type = 'soft_bounced'
                and is_recent
                and (last_occurred_at > last_arrived_at or last_arrived_at is null)
        ), 0
    ) as integer) as soft_bounces_in_a_row,
    bool_or(event_type = 'hard_bounced') as has_hard_bounced,
    bool_or(event_type = 'complained') as has_complained

from mails

group by address
