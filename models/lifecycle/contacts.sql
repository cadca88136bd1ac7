{# One row per contact with all that segments ask about: herself, her account, what she did. #}
with persons as (
    select * from {{ ref('int_contacts_resolved') }}
),

accounts as (
    select * from {{ ref('accounts') }}
),

contact_engagement as (
    select * from {{ ref('contact_engagement') }}
),

rfm as (
    select * from {{ ref('rfm') }}
),

stage_history as (
    select * from {{ ref('stage_history') }}
)

select
    persons.contact_id,
    persons.account_id,
    persons.email,
    persons.first_name,
    persons.role,
    persons.is_billing_contact,
    coalesce(persons.country, accounts.country) as country,
    persons.language,
    persons.time_zone,
    accounts.industry,
    accounts.employee_count,
    accounts.account_owner,
    persons.acquisition_source,
    persons.sales_stage,
    persons.created_at,
    persons.signed_up_at,
    stage_history.stage,
    stage_history.started_at as stage_since,
    accounts.trial_started_at,
    accounts.trial_ends_at,
    {{ whole_days_since('accounts.trial_started_at') }} as trial_day,
    accounts.first_paid_at,
    accounts.period_ends_at,
    accounts.billing_interval,
    accounts.is_auto_renew,
    accounts.past_due_since,
    accounts.cancel_requested_at,
    case
        when stage_history.stage = 'churned'
            then coalesce(
                accounts.paid_until,
                {{ just_after('accounts.last_order_at', var('order_churn_days')) }}
            )
    end as churned_at,
    accounts.plan_id,
    accounts.plan_rank,
    accounts.seats,
    accounts.seats_used,
    accounts.mrr_value,
    accounts.lifetime_value,
    accounts.orders_count,
    accounts.last_order_at,
    rfm.rfm_r,
    rfm.rfm_f,
    rfm.rfm_m,
    rfm.rfm_segment,
    contact_engagement.activated_at,
    contact_engagement.last_active_at,
    contact_engagement.days_inactive,
    accounts.days_inactive as account_days_inactive,
    contact_engagement.active_days_7,
    contact_engagement.active_days_28,
    contact_engagement.usage_change,
    contact_engagement.content_views_28,
    contact_engagement.last_email_click_at,
    contact_engagement.emails_sent_90,
    contact_engagement.is_email_reachable,
    contact_engagement.email_unreachable_because,
    contact_engagement.open_ticket_count,
    contact_engagement.last_nps_score,
    contact_engagement.last_nps_at,
    contact_engagement.last_survey_asked_at,
    contact_engagement.open_cart_id,
    contact_engagement.open_cart_updated_at,
    accounts.last_discount_at

from persons

inner join accounts
    on persons.account_id = accounts.account_id

inner join contact_engagement
    on persons.contact_id = contact_engagement.contact_id

-- everybody stands in one; a left join, so that late events hold back only who reads the stage
left join stage_history
    on
        persons.contact_id = stage_history.contact_id
        and stage_history.ended_at is null

left join rfm
    on persons.account_id = rfm.account_id

where not persons.is_internal
