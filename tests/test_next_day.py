"""Day after day gives what one run over everything gives, whatever arrives late or is merged."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segflow.cli.starter import copy_starter
from tests.conftest import Project

DAY_BEFORE = "2026-06-24 02:00:00"
MERGED_AT = "2026-06-28 09:00:00"

Row = dict[str, str]


def rewrite(path: Path, change: Callable[[list[Row]], list[Row]]) -> None:
    """Change the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names, rows = list(reader.fieldnames or ()), change(list(reader))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def delay(events: list[Row]) -> list[Row]:
    """Every fiftieth event of the last months comes only after the first run."""
    for event in events[::50]:
        if "2026-04" < event["occurred_at"] < DAY_BEFORE:
            event["received_at"] = MERGED_AT
    return events


def arrived(events: list[Row]) -> list[Row]:
    return [event for event in events if event["received_at"] <= DAY_BEFORE]


def contents(project: Project) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of all tables and views that are computed, without when a row was last read."""
    names = project.rows(
        """
        select table_schema || '.' || table_name
        from information_schema.tables
        where table_schema in ('staging', 'engagement', 'lifecycle')
        order by 1
        """
    )
    select = "select columns(lambda name: name != 'read_at') from"
    return {name: Counter(project.rows(f"{select} {name}")) for (name,) in names}


@pytest.fixture
def two_days(tmp_path: Path) -> tuple[Project, Project]:
    """The starter run a week ago; a copy of it; late events and merges have come to both."""
    first = Project(tmp_path / "first")
    copy_starter(first.root)
    # a week at once is more than the guards of a nightly run let through
    settings = first.root / "segflow.yml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("{max_left: 20%, max_entered: 50%}", "{}"), "utf-8")
    events = first.root / "seeds" / "raw_events.csv"
    rewrite(events, delay)
    complete = shutil.copyfile(events, tmp_path / "events.csv")
    rewrite(events, arrived)
    first.run("--quiet", "--as-of", DAY_BEFORE)
    # one contact each of accounts that pay goes over to the next such account
    payers = first.rows(
        """
        select contact_id
        from lifecycle.contacts
        where first_paid_at is not null and last_active_at is not null
        qualify row_number() over (partition by account_id order by last_active_at desc) = 1
        order by contact_id
        limit 60
        """
    )
    ids = [contact_id for (contact_id,) in payers]
    merges = [
        {"merged_id": merged, "into_id": into, "merged_at": MERGED_AT}
        for merged, into in zip(ids[::2], ids[1::2], strict=True)
    ]
    shutil.copyfile(complete, events)
    rewrite(first.root / "seeds" / "raw_contact_merges.csv", lambda rows: rows + merges)
    second = Project(tmp_path / "second")
    shutil.copytree(first.root, second.root)
    return first, second


def test_a_later_run_gives_what_a_full_refresh_gives(two_days: tuple[Project, Project]) -> None:
    incremental, full = two_days
    incremental.run("--quiet")
    full.run("--quiet", "--full-refresh")
    found, expected = contents(incremental), contents(full)
    assert len(expected) > 50
    assert found.keys() == expected.keys()
    differing = {
        name: (found[name] - rows, rows - found[name])
        for name, rows in expected.items()
        if found[name] != rows
    }
    assert differing == {}
