"""Segments of the starter counted once more, from the raw files and by none of its models."""

from pathlib import Path

import duckdb
import pytest

from tests.conftest import AS_OF, Project

# The raw files as they are, and who is who: ids of today (`person`), staff left out, with the
# account that pays. Merges in the seeds are at most two long.
PEOPLE = f"""
create macro moment() as timestamp '{AS_OF}';
create macro person(id) as coalesce(
    (
        select coalesce(second.into_id, first.into_id)
        from raw_contact_merges as first
        left join raw_contact_merges as second
            on first.into_id = second.merged_id and second.merged_at <= moment()
        where first.merged_id = id and first.merged_at <= moment()
    ),
    id
);
create table people as
select
    id,
    coalesce(account_id, id) as payer,
    lower(trim(email)) as email,
    lower(trim(role)) as role,
    case lower(trim(role)) when 'billing' then 1 when 'owner' then 2 when 'admin' then 3
        when 'member' then 5 else 4 end as place,
    created_at
from (
    select *
    from raw_contacts
    where created_at <= moment()
    qualify row_number() over (partition by id order by updated_at desc) = 1
)
where not is_staff and person(id) = id;
create table events as
select person(contact_id) as id, feature, topic, event, occurred_at
from raw_events
where occurred_at <= moment();
create table paid as
select *
from raw_subscriptions
where started_at <= moment() and (ended_at is null or ended_at > moment());
create table bought as
select person(contact_id) as who, *
from (from raw_orders qualify row_number() over (partition by id order by cancelled_at) = 1)
where ordered_at <= moment();
create table in_charge as
select id, payer
from people
qualify
    role = 'owner'
    -- else the billing contacts, else the admins, else the first of unknown role
    or (place < 4 and place = min(place) over (partition by payer))
    or (place = 4 and 1 = row_number() over (partition by payer order by place, created_at, id));
"""
BY_HAND = {
    "with_open_ticket": """
        select person(requester_id)
        from raw_tickets
        where opened_at <= moment() and (closed_at is null or closed_at > moment())
    """,
    "detractors": """
        select person(contact_id)
        from raw_surveys
        where type = 'nps' and score is not null and answered_at <= moment()
        group by all
        having arg_max(score, answered_at) <= 6 and max(answered_at) >= moment() - interval 90 days
    """,
    "lapsed_from_a_feature": """
        select people.id
        from people
        inner join events on people.id = events.id
        where feature is not null
            -- who pays has what her plan has; a trial counts while it runs and nothing is paid
            and (payer, feature) in (
                select customer_id, feature_id
                from raw_subscriptions
                inner join raw_plan_features on plan = plan_id
                where (ended_at is null or ended_at > moment())
                    and (
                        started_at <= moment()
                        or (trial_start <= moment() and coalesce(trial_end > moment(), true))
                    )
            )
        group by people.id, feature
        having count(*) >= 3
            and max(occurred_at) < moment() - interval 28 days
            and max(occurred_at) >= moment() - interval 180 days
    """,
    "content_readers": """
        select people.id
        from people
        inner join events on people.id = events.id
        where topic is not null and topic not in (select category from raw_products)
            and ((occurred_at at time zone 'UTC') at time zone 'Europe/Berlin')::date > date '2026-06-03'
        group by people.id
        having count(*) >= 2
        union
        select id
        from people
        where email in (
            select coalesce(lower(trim(address)), (from people select email where id = contact_id))
            from raw_message_events
            where channel = 'email' and type = 'click'
                and occurred_at between moment() - interval 28 days and moment()
        )
    """,
    "renewals_due": """
        select in_charge.id
        from in_charge
        inner join paid on payer = customer_id
        group by in_charge.id
        having count(*) filter (where cancel_requested_at <= moment()) = 0
            and min(current_period_end) > moment()
            and min(current_period_end) <= moment() + interval 30 days
            and arg_min(billing_interval = 'yearly' or not auto_renew, current_period_end)
    """,
    "carts_abandoned": """
        select person(contact_id) as buyer
        from raw_carts
        where updated_at between moment() - interval 72 hours and moment() - interval 1 hour
            and item_count >= 1 and ordered_at is null
            and (emptied_at is null or emptied_at < updated_at)
            and id not in (select cart_id from bought where cart_id is not null)
            and not exists (from bought where bought.who = buyer and bought.ordered_at >= updated_at)
            -- no later cart, and nobody of the account had a discount
            and not exists (
                from raw_carts as other
                where person(other.contact_id) = buyer and other.updated_at > moment() - interval 1 hour
            )
            and (from people select payer where people.id = buyer) not in (
                select payer
                from bought
                inner join people on who = people.id
                where (discount_code is not null or discount_amount > 0) and cancelled_at is null
                    and ordered_at >= moment() - interval 90 days
            )
    """,
}


@pytest.fixture(scope="module")
def raw(starter: Project) -> duckdb.DuckDBPyConnection:
    """The raw files, read by DuckDB as it likes, with `PEOPLE` on top."""
    connection = duckdb.connect()
    for file in sorted(Path(starter.root, "seeds").glob("raw_*.csv")):
        connection.execute(f"create table {file.stem} as from read_csv('{file}', sample_size = -1)")
    connection.execute(PEOPLE)
    return connection


@pytest.mark.parametrize("segment", BY_HAND)
def test_a_segment_has_the_members_that_are_counted_by_hand(
    segment: str, starter: Project, raw: duckdb.DuckDBPyConnection
) -> None:
    counted = f"select id from ({BY_HAND[segment]}) as found(id) semi join people using (id)"
    by_hand = {contact_id for (contact_id,) in raw.execute(counted).fetchall()}
    members = starter.rows(f"select contact_id from segments.{segment}")
    assert by_hand
    assert {contact_id for (contact_id,) in members} == by_hand
