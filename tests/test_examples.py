"""The examples from raw files to audiences, in a folder of the test's own.

The files lie outside the repository; where they are absent, a test says so and is skipped.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from segflow.project.config import Environment
from segflow.project.load import load
from tests.conftest import Project

REPOSITORY = Path(__file__).parents[1]

# Where an example's files lie: this environment variable, else this folder beside the repository.
FILES = {
    "ravenstack": ("SEGFLOW_RAVENSTACK", "ravenstack"),
    "retentioneering": ("SEGFLOW_RETENTIONEERING", "retentioneering_ecom"),
    "completejourney": ("SEGFLOW_COMPLETEJOURNEY", "completejourney"),
}
REFERENCE_SEEDS = {"stages", "rfm_segments", "exchange_rates"}


@dataclass(frozen=True)
class Example:
    """A copy of an example's folder, building on the package in this repository."""

    project: Project

    def run(self, target: str = "dev") -> Any:
        """`segflow run`, which must end well; its results."""
        outcome = self.project.segflow("run", "--target", target, "--output", "json")
        assert outcome.code == 0, outcome.out + outcome.err
        return outcome.json["results"]

    def rows(self, sql: str, target: str = "dev") -> list[tuple[Any, ...]]:
        name = "segflow" if target == "dev" else target
        path = self.project.root / "warehouse" / f"{name}.duckdb"
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def row(self, sql: str) -> tuple[Any, ...]:
        (found,) = self.rows(sql)
        return found


OpenExample = Callable[[str], Example]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenExample:
    """Copy an example, so that nothing is written into the repository."""

    def copy(name: str) -> Example:
        variable, folder = FILES[name]
        files = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / "data" / folder))
        if not files.is_dir():
            pytest.skip(
                f"the files of examples/{name} are not here: set {variable} to their folder"
            )
        monkeypatch.setenv(variable, str(files.resolve()))
        root = tmp_path / name
        built = shutil.ignore_patterns("warehouse", "exports", "target")
        shutil.copytree(REPOSITORY / "examples" / name, root, ignore=built)
        settings = (root / "segflow.yml").read_text("utf-8")
        assert "local: ../..\n" in settings
        (root / "segflow.yml").write_text(settings.replace("../..", str(REPOSITORY)), "utf-8")
        return Example(Project(root))

    return copy


@pytest.mark.parametrize("name", FILES)
def test_an_example_brings_the_contract_and_takes_the_rest(name: str) -> None:
    environment = Environment({FILES[name][0]: "nowhere"})
    mine = load(REPOSITORY / "examples" / name, environment=environment)
    package = load(REPOSITORY)
    contracts = {
        model.name: [(column.name, column.data_type) for column in model.columns]
        for model in mine.models
        if model.config.get("contract") == {"enforced": True} and model.package == name
    }
    assert contracts == {
        model.name: [(column.name, column.data_type) for column in model.columns]
        for model in package.models
        if model.name.startswith("stg_")
    }
    assert not [m for m in mine.models if m.package != name and m.name.startswith("stg_")]
    assert {seed.name for seed in mine.seeds} == REFERENCE_SEEDS
    assert [a.name for a in mine.audiences] == [a.name for a in package.audiences]


def assert_nobody_gets_mail(example: Example, results: Any) -> None:
    """No address, no consent: e-mail is empty for that reason, customer service has everybody."""
    contacts = example.row("select count(*) from lifecycle.contacts")[0]
    assert example.row("select count(*) from engagement.consents") == (0,)
    assert example.rows(
        "select email_unreachable_because, count(*) from segments.unreachable_by_email group by all"
    ) == [("no_address", contacts)]
    assert example.row(
        "select sum(reachable), sum(permitted) from segments.reach where channel = 'email'"
    ) == (0, 0)
    mailed = {d["audience"] for d in results["deliveries"] if d["destination"] == "email_tool"}
    assert len(mailed) >= 2
    for audience in results["audiences"]:
        if audience["audience"] in mailed:
            assert audience["rows"] == 0
            assert sum(audience["held"].values()) == audience["candidates"]
            assert set(audience["held"]) <= {"no_address", "excluded"}
    exports = example.project.root / "exports"
    assert len((exports / "email_tool/newsletter_readers.csv").read_text().splitlines()) == 1
    everybody = (exports / "service_desk/service_user_types.csv").read_text().splitlines()
    assert len(everybody) == contacts + 1
    assert audience_rows(results)["calls_to_make"] == members(results)["at_risk_customers"]


def assert_history_reaches_back(example: Example, moment: str) -> None:
    """Who stood where: told later by the history, and then by a run at that moment."""
    then = example.rows("select contact_id, stage from lifecycle.contacts order by all", "past")
    assert then == example.rows(
        "select contact_id, stage from lifecycle.stage_history"
        f" where started_at <= '{moment}' and (ended_at is null or ended_at > '{moment}')"
        " order by all"
    )


def members(results: Any) -> dict[str, int]:
    return {s["segment"]: s["members"] for s in results["segments"] if s["members"]}


def audience_rows(results: Any) -> dict[str, int]:
    return {a["audience"]: a["rows"] for a in results["audiences"]}


def warned(results: Any) -> dict[str, int]:
    """The data tests that warned, with the rows they found."""
    return {
        test["name"]: test["failures"]
        for node in results["nodes"]
        for test in node["tests"]
        if test["status"] == "warn"
    }


def test_ravenstack(example: OpenExample) -> None:
    it = example("ravenstack")
    results = it.run()
    assert it.row("select count(*), count(distinct event_id) from staging.stg_events") == (
        25000,
        25000,
    )
    assert it.row("select count(*) from staging.stg_contacts where created_at is null") == (0,)
    assert warned(results) == {
        "churn_events_without_an_end": 594,
        "flagged_as_churned_but_paying": 110,
        "used_before_signing_up": 13198,
    }
    # 110 accounts are flagged as churned, and 97 as on trial: all of them pay
    assert results["stages"] == {"active": 406, "at_risk": 68, "new": 26}
    assert members(results) == {
        "unreachable_by_email": 500,
        "never_tried_a_feature": 492,
        "lapsed_from_a_feature": 417,
        "active_customers": 137,
        "surveys_due": 137,
        "at_risk_customers": 87,
        "new_customers": 26,
        "champions": 24,
    }
    held = {a["audience"]: a["held"] for a in results["audiences"]}
    assert held["check_in_mails"] == {"no_address": 439}
    assert_nobody_gets_mail(it, results)

    assert it.run("past")["stages"] == {
        "active": 131,
        "lead": 36,
        "at_risk": 30,
        "new": 26,
        "trial": 4,
        "churned": 1,
    }
    assert_history_reaches_back(it, "2024-01-01")

    # a month without usage is a late file, and nobody is at risk for it
    late = it.project.segflow("run", "--as-of", "2025-02-01")
    assert late.code == 1
    assert it.row("select count(*) from segments.at_risk_customers") == (87,)
    assert it.rows(
        "select distinct state, cast(as_of as varchar) from segments.status"
        " where relation like 'audiences.%' order by all"
    ) == [
        # some messages ask nothing of usage; by mail they reach nobody here
        ("empty", "2025-02-01 00:00:00"),
        ("kept", "2025-01-01 00:00:00"),
    ]


def test_retentioneering(example: OpenExample) -> None:
    it = example("retentioneering")
    results = it.run()
    # 31,106 rows, 30 of them twice
    assert it.row("select count(*) from staging.stg_events") == (31076,)
    assert warned(results) == {"items_added_after_the_purchase": 113}
    assert results["stages"] == {"subscriber": 272, "active": 181, "new": 93, "at_risk": 54}
    assert members(results) == {
        "unreachable_by_email": 600,
        "active_customers": 181,
        "new_customers": 93,
        "at_risk_customers": 54,
        "surveys_due": 49,
        "champions": 16,
        "carts_abandoned": 14,
    }
    assert it.row("select count(lifetime_value), count(rfm_m) from lifecycle.contacts") == (0, 0)
    held = {a["audience"]: a["held"] for a in results["audiences"]}
    assert held["cart_reminders"] == {"no_address": 14}
    assert_nobody_gets_mail(it, results)

    assert it.run("past")["stages"] == {
        "subscriber": 363,
        "new": 86,
        "active": 78,
        "at_risk": 8,
    }
    assert_history_reaches_back(it, "2024-05-01")


def test_completejourney(example: OpenExample) -> None:
    it = example("completejourney")
    results = it.run()
    assert it.row(
        "select count(*), (select count(*) from staging.stg_order_items) from staging.stg_orders"
    ) == (47243, 75000)
    assert warned(results) == {"redemptions_without_a_basket": 485}
    assert results["stages"] == {
        "active": 1996,
        "at_risk": 205,
        "churned": 133,
        "reactivated": 28,
        "new": 15,
        "subscriber": 2,
    }
    found = members(results)
    # how a campaign reached a household is not known, so none counts as mail
    assert it.row("select sum(emails_sent_90) from lifecycle.contacts") == (0,)
    assert found["unreachable_by_email"] == 2379
    assert found["churned_customers"] == 30
    assert found["win_back_candidates"] == 48
    assert_nobody_gets_mail(it, results)

    assert it.run("past")["stages"] == {
        "active": 1949,
        "at_risk": 210,
        "new": 51,
        "subscriber": 12,
        "churned": 2,
    }
    assert_history_reaches_back(it, "2017-07-01 04:00:00")
