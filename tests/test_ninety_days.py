"""The starter's messages over ninety days: what contacts got, and that no cap was ever broken."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from segflow.cli.starter import copy_starter
from tests.conftest import Project

LAST = datetime(2026, 7, 1, 2)


@pytest.fixture(scope="module")
def ninety_days(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root: Path = tmp_path_factory.mktemp("ninety") / "acme"
    copy_starter(root)
    made = Project(root)
    # Seeds go back in time with the clock: early days come and go in leaps.
    paths = [*root.glob("segflow.yml"), *root.glob("models/*/*.yml")]
    for path in paths:
        text = re.sub(r"max_(left|entered): \d+%", r"max_\1: 100000%", path.read_text("utf-8"))
        path.write_text(text, "utf-8")
    for days in range(90, -1, -1):
        outcome = made.segflow(
            "build", "--quiet", "--exclude", "test:*", "unit_test:*",
            "--as-of", str(LAST - timedelta(days=days)),
        )  # fmt: skip
        assert outcome.code == 0, outcome.out + outcome.err
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("count", "days"), [(1, 1), (3, 7)])
def test_no_cap_is_ever_broken(ninety_days: Project, count: int, days: int) -> None:
    most = ninety_days.rows(
        "with sent as (select contact_id, local_date from demo.segflow.exposures"
        " where channel = 'email' and not is_contract)"
        " select max(n) from (select count(*) over (partition by contact_id order by local_date"
        f" range between interval {days - 1} days preceding and current row) as n from sent)"
        .replace("demo.", f"{ninety_days.database.stem}.")
    )  # fmt: skip
    assert 0 < most[0][0] <= count


@pytest.mark.slow
def test_messages_per_contact_and_week(ninety_days: Project) -> None:
    """Nobody is flooded, and every message is sent to somebody in a quarter."""
    table = f"{ninety_days.database.stem}.segflow.exposures"
    weeks = ninety_days.rows(
        "with weekly as (select contact_id, date_trunc('week', local_date) as week, count(*) as n"
        f" from {table} where action = 'send' group by all)"
        " select median(n), quantile_cont(n, 0.99), max(n) from weekly"
    )
    assert weeks[0][2] <= 12
    sent = ninety_days.rows(f"select message, count(*) from {table} group by all order by all")
    assert len(sent) == 24


@pytest.mark.slow
def test_candidates_add_up_every_day(ninety_days: Project) -> None:
    counted = ninety_days.rows(
        "select count(distinct as_of), count(*) filter (where contacts < 1) from"
        " segments.decision_counts"
    )
    assert counted == [(91, 0)]
