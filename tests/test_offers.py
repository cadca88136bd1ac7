"""What the starter's messages say and to whom, checked against the facts of the contacts."""

from tests.conftest import Project

SELLING = "('upsell', 'cross_sell', 'promote_product')"


def test_nothing_is_sold_to_accounts_that_left_or_owe(starter: Project) -> None:
    sold = starter.rows(
        "select stage, past_due_since is not null, count(*) from segments.decisions"
        " inner join lifecycle.contacts using (contact_id)"
        f" where action = 'send' and goal in {SELLING} group by all"
    )
    assert sum(count for _, _, count in sold) > 100
    assert not [row for row in sold if row[0] in ("churned", "past_due") or row[1]]


def test_who_is_asked_for_more_seats_pays_for_those_she_has(starter: Project) -> None:
    states = starter.rows(
        "select distinct state from segments.near_seat_limit"
        " inner join lifecycle.contacts using (contact_id)"
        " inner join lifecycle.accounts using (account_id)"
    )
    assert states == [("paid",)]


def test_mails_about_renewals_say_what_the_plan_does_and_on_which_day(starter: Project) -> None:
    """As a day of the company, which keeps the time of Berlin."""
    right = (
        "'Your plan ' || if(is_auto_renew, 'renews', 'ends') || ' on '"
        " || strftime(timezone('Europe/Berlin', timezone('UTC', period_ends_at)), '%Y-%m-%d')"
    )
    mails = starter.rows(
        f"select mails.subject, {right} from audiences.email_messages as mails"
        " inner join lifecycle.contacts as people on mails.email = people.email"
        " where mails.message like 'renewal%'"
        " and contact_id in (select contact_id from segments.renewals_due)"
    )
    assert {subject.split()[2] for subject, _ in mails} == {"renews", "ends"}
    assert [(said, right) for said, right in mails if said != right] == []
