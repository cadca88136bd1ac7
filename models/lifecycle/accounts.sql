{# One row per account: who pays, the company with all its contacts or the one person herself. #}
with companies as (
    select * from {{ until_now(ref('stg_accounts'), 'created_at') }}
),

contacts as (
    select * from {{ ref('int_contacts_resolved') }}
),

contact_activity as (
    select * from {{ ref('contact_activity') }}
),

subscribed as (
    select * from {{ ref('int_accounts_subscribed') }}
),

ordered as (
    select * from {{ ref('int_accounts_ordered') }}
),

peopled as (
    select
        contacts.account_id,
        cast(count(*) as integer) as contact_count,
        min(contacts.created_at) as created_at,
        max(contact_activity.last_active_at) as last_active_at
    from contacts
    left join contact_activity
        on contacts.contact_id = contact_activity.contact_id
    where not contacts.is_internal
    group by contacts.account_id
)

select
    coalesce(companies.account_id, peopled.account_id) as account_id,
    companies.account_name,
    companies.industry,
    companies.employee_count,
    companies.country,
    companies.account_owner,
    coalesce(companies.created_at, peopled.created_at) as created_at,
    coalesce(peopled.contact_count, 0) as contact_count,
    subscribed.state,
    subscribed.plan_id,
    subscribed.plan_rank,
    subscribed.seat_limit,
    coalesce(subscribed.has_higher_plan, false) as has_higher_plan,
    subscribed.seats,
    subscribed.seats_used,
    subscribed.trial_started_at,
    subscribed.trial_ends_at,
    subscribed.first_paid_at,
    subscribed.paid_until,
    subscribed.period_ends_at,
    subscribed.billing_interval,
    subscribed.is_auto_renew,
    subscribed.past_due_since,
    subscribed.cancel_requested_at,
    subscribed.mrr_value,
    coalesce(ordered.orders_count, 0) as orders_count,
    ordered.first_order_at,
    ordered.last_order_at,
    ordered.last_discount_at,
    least(subscribed.first_paid_at, ordered.first_order_at) as customer_since,
    case
        when subscribed.paid_value is null then ordered.orders_value
        else cast(subscribed.paid_value + coalesce(ordered.orders_value, 0) as decimal(18, 2))
    end as lifetime_value,
    peopled.last_active_at,
    {{ whole_days_since('peopled.last_active_at') }} as days_inactive

from companies

full join peopled
    on companies.account_id = peopled.account_id

left join subscribed
    on coalesce(companies.account_id, peopled.account_id) = subscribed.account_id

left join ordered
    on coalesce(companies.account_id, peopled.account_id) = ordered.account_id
