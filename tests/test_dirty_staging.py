"""Staging models that are not as agreed: what is read all the same, what warns, and what stops."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Project

ADDRESSES = "from engagement.email_addresses order by all"
CONSENTS = "from engagement.consents order by all"


@pytest.fixture
def copied(starter: Project, tmp_path: Path) -> Project:
    """The starter after a good run, to be written to."""
    shutil.copytree(starter.root, tmp_path / "acme")
    return Project(tmp_path / "acme")


def rewrite(made: Project, model: str, columns: str) -> None:
    """Replace columns of a staging model by other expressions."""
    file = f"models/staging/{model}.sql"
    text = (made.root / file).read_text("utf-8")
    head, body = text.rsplit("#}", 1)
    made.write({file: f"{head}#}}\nselect * replace ({columns}) from (\n{body}\n) as clean\n"})


def findings(made: Project, *models: str) -> tuple[set[str], str]:
    """The models that failed, and all that was printed."""
    outcome = made.segflow("build", "--select", *models)
    failed = {m for m in models if f"FAIL  staging.{m} " in outcome.out}
    return failed, outcome.out


def test_another_spelling_neither_loses_a_refusal_nor_reaches_a_dead_address(
    copied: Project,
) -> None:
    before = {query: copied.rows(query) for query in (ADDRESSES, CONSENTS)}
    assert any(row[-1] == "hard_bounce" for row in before[ADDRESSES])
    rewrite(copied, "stg_contacts", "coalesce(' ' || upper(email), '') as email")
    channel = "upper(channel) || ' ' as channel"
    rewrite(copied, "stg_consents", channel)
    rewrite(copied, "stg_message_events", f"upper(address) as address, {channel}")
    rewritten = ("stg_contacts+", "stg_consents+", "stg_message_events+")
    outcome = copied.segflow("build", "--full-refresh", "--select", *rewritten)
    assert outcome.code == 0, outcome.out
    assert "read as if they were not" in outcome.out
    assert "channels that channels.yml does not know" in outcome.out
    assert {query: copied.rows(query) for query in (ADDRESSES, CONSENTS)} == before


@pytest.mark.parametrize(
    ("model", "columns", "says"),
    [
        ("stg_contacts", "' ' || contact_id as contact_id", "trimmed_stg_contacts_contact_id"),
        ("stg_contacts", "account_id || ' ' as account_id", "trimmed_stg_contacts_account_id"),
        ("stg_accounts", "account_id || ' ' as account_id", "trimmed_stg_accounts_account_id"),
        ("stg_orders", "'' as contact_id", "trimmed_stg_orders_contact_id"),
        ("stg_events", "' ' || contact_id as contact_id", "trimmed_stg_events_contact_id"),
        (
            "stg_message_events",
            "case when occurred_at < '2026-04-01' then 'unsubscribe' else event_type end"
            " as event_type",
            "events that nobody understands",
        ),
        ("stg_subscriptions", "-seats as seats", "expression_is_true_stg_subscriptions_seats"),
        (
            "stg_subscriptions",
            "trial_started_at - interval 1 second as trial_ends_at",
            "trials that end before they begin",
        ),
        (
            "stg_subscriptions",
            "paid_started_at - interval 1 second as ended_at",
            "subscriptions that end before they are paid",
        ),
    ],
)
def test_what_would_count_wrongly_fails(
    copied: Project, model: str, columns: str, says: str
) -> None:
    rewrite(copied, model, columns)
    failed, out = findings(copied, model)
    assert failed == {model} and says in out, out


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("country || 'X' as country", "countries that are no two capital letters"),
        ("'Mars/Olympus' as time_zone", "time zones that nobody knows"),
        ("email || ' ' || email as email", "addresses that are none"),
        ("replace(email, '@', ' at ') as email", "addresses that are none"),
        ("'lost' as account_id", "contacts of unknown accounts"),
    ],
)
def test_what_is_odd_warns(copied: Project, columns: str, says: str) -> None:
    rewrite(copied, "stg_contacts", columns)
    failed, out = findings(copied, "stg_contacts")
    assert not failed and says in out, out


def test_without_any_account_nobody_is_warned_of_unknown_ones(copied: Project) -> None:
    text = (copied.root / "models/staging/stg_accounts.sql").read_text("utf-8")
    copied.write({"models/staging/stg_accounts.sql": text + "\nlimit 0\n"})
    failed, out = findings(copied, "stg_accounts", "stg_contacts")
    assert not failed and "unknown accounts" not in out, out


def test_a_merge_into_nobody_stops_the_load(copied: Project) -> None:
    rewrite(copied, "stg_contact_merges", "'c_of_nobody' as contact_id")
    outcome = copied.segflow("run", "--quiet")
    assert outcome.code == 1
    assert "Contacts who vanish" in outcome.out + outcome.err
