"""The query pack for BI: every file is run as a BI tool runs it, and its numbers add up."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Project

DOCS = Path(__file__).parent.parent / "docs"
PACK = sorted((DOCS / "queries").glob("*.sql"))

Rows = list[dict[str, Any]]


class Reader:
    """A connection as a BI tool has it: the file itself, read-only, under its default name."""

    def __init__(self, root: Path):
        self.connection = duckdb.connect(str(root / "warehouse/segflow.duckdb"), read_only=True)

    def ask(self, sql: str) -> Rows:
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def run(self, name: str) -> Rows:
        """The rows of one query of the pack."""
        return self.ask((DOCS / "queries" / f"{name}.sql").read_text("utf-8"))

    def counts(self, column: str, relation: str, where: str = "true") -> dict[Any, int]:
        sql = f"select {column} as value, count(*) as rows from {relation} where {where} group by 1"
        return {row["value"]: row["rows"] for row in self.ask(sql)}


@pytest.fixture
def reader(starter: Project) -> Iterator[Reader]:
    made = Reader(starter.root)
    yield made
    made.connection.close()


def added(rows: Rows, by: str, value: str) -> dict[Any, int]:
    """Sums by a column, without those that come to nothing."""
    sums: Counter[Any] = Counter()
    for row in rows:
        sums[row[by]] += row[value]
    return {name: count for name, count in sums.items() if count}


@pytest.mark.parametrize("path", PACK, ids=lambda path: path.stem)
def test_a_query_answers_in_named_columns_and_one_order(path: Path, reader: Reader) -> None:
    text = path.read_text("utf-8")
    assert re.match(r"-- \w.*\.\n-- Chart: ", text), "says what it shows, then which chart"
    assert "{{" not in text and ";" not in text
    rows = reader.run(path.stem)
    assert rows
    assert all(re.fullmatch(r"[a-z][a-z_]*", name) for name in rows[0])
    reader.connection.execute("set threads = 1")
    assert reader.run(path.stem) == rows


def test_the_guide_names_every_query() -> None:
    named = re.findall(r"\(\.\./queries/(\w+)\.sql\)", (DOCS / "guides/bi.md").read_text("utf-8"))
    assert sorted(named) == [path.stem for path in PACK]


def test_the_sankey_holds_every_contact_once(reader: Reader) -> None:
    stages = reader.counts("stage", "lifecycle.contacts")
    rows = reader.run("stage_sankey")
    assert added(rows, "target", "contacts") == {f"{s} now": n for s, n in stages.items()}
    assert not {row["source"] for row in rows} & {row["target"] for row in rows}
    stayed = sum(row["contacts"] for row in rows if not row["has_moved"])
    moved = reader.ask(
        "select count(*) as contacts from lifecycle.contacts"
        " where stage_since > timestamp '2026-07-01 02:00:00' - interval '28 days'"
    )[0]["contacts"]
    # who left a stage and came back has moved, and stands where she stood
    assert sum(stages.values()) - moved <= stayed < sum(stages.values())


def test_flows_of_all_weeks_lead_to_the_stages_of_today(reader: Reader) -> None:
    stages = reader.counts("stage", "lifecycle.contacts")
    flows = reader.run("stage_flows")
    into, out_of = (added(flows, by, "contacts") for by in ("to_stage", "from_stage"))
    assert {stage: into[stage] - out_of.get(stage, 0) for stage in into} == stages
    weeks = reader.run("stages_by_week")
    last = max(row["week"] for row in weeks)
    assert added([row for row in weeks if row["week"] == last], "stage", "contacts") == stages
    assert min(row["contacts"] for row in weeks) == 0


def test_cohorts_are_as_large_as_the_sign_ups_of_their_month(reader: Reader) -> None:
    month = "cast(date_trunc('month', signed_up_at) as date)"
    sign_ups = reader.counts(month, "lifecycle.contacts", "signed_up_at is not null")
    rows = reader.run("sign_up_cohorts")
    assert added(rows, "cohort", "contacts") == sign_ups
    assert {row["cohort"]: row["cohort_size"] for row in rows} == sign_ups


def test_reach_and_its_reasons_add_up_to_the_members(reader: Reader) -> None:
    members = reader.counts("segment", "segments.memberships")
    reach = reader.run("reach")
    for row in reach:
        parts = row["permitted"] + row["without_consent"] + row["not_reachable"]
        assert parts == row["members"] == members[row["segment"]]
    reasons = reader.run("why_not_by_email")
    assert added(reasons, "segment", "contacts") == members
    free = [row for row in reasons if row["reason"] == "may be written to"]
    permitted = [row for row in reach if row["channel"] == "email"]
    assert added(free, "segment", "contacts") == added(permitted, "segment", "permitted")


def test_audiences_are_as_large_as_their_tables(reader: Reader) -> None:
    for row in reader.run("audience_sizes"):
        table = f"audiences.{row['audience']}"
        assert reader.counts("'all'", table) == {"all": row["row_count"]}


def test_adoption_narrows_from_eligible_to_tried_to_retained(reader: Reader) -> None:
    rows = reader.run("feature_adoption")
    eligible = reader.counts("feature_id", "engagement.feature_adoption")
    assert {row["feature_id"]: row["eligible_count"] for row in rows} == eligible
    for row in rows:
        kept, lapsed = row["retained_count"], row["lapsed_count"]
        assert row["eligible_count"] >= row["tried_count"] >= max(kept, lapsed)
        assert row["tried_rate"] == round(row["tried_count"] / row["eligible_count"], 4)


def test_every_contact_has_a_stage_and_at_most_one_persona(reader: Reader) -> None:
    rows = reader.run("personas_by_stage")
    assert added(rows, "stage", "contacts") == reader.counts("stage", "lifecycle.contacts")


def test_overlap_is_the_same_from_either_side(reader: Reader) -> None:
    rows = reader.run("segment_overlap")
    sides = {(row["segment"], row["other_segment"]): row for row in rows}
    for (one, other), row in sides.items():
        assert sides[other, one]["jaccard"] == row["jaccard"] <= row["share_of_segment"] <= 1
    pair = sides["champions", "surveys_due"]
    both = reader.ask(
        "select contact_id from segments.champions"
        " intersect select contact_id from segments.surveys_due"
    )
    assert pair["in_both"] == len(both)


def test_freshness_has_a_row_for_everything_that_is_built(reader: Reader) -> None:
    rows = reader.run("freshness")
    assert len(rows) == sum(reader.counts("kind", "segments.status").values())
    assert {row["state"] for row in rows} == {"fresh"}
    assert {row["hours_behind"] for row in rows} == {0}


def test_entered_less_departed_is_who_is_in(starter: Project, tmp_path: Path) -> None:
    """On the second day two segments are evaluated again, on the carts and trials of the first."""
    shutil.copytree(starter.root, tmp_path / "acme")
    acme = Project(tmp_path / "acme")
    later = ("--as-of", "2026-07-02 02:00:00", "--quiet")
    assert acme.segflow("build", "--select", "carts_abandoned", "trials_ending", *later).code == 0
    reader = Reader(acme.root)
    moves, sizes = reader.run("segment_moves"), reader.run("segment_sizes")
    members = reader.counts("segment", "segments.memberships")
    behind = max(row["hours_behind"] for row in reader.run("freshness"))
    reader.connection.close()
    assert added(moves, "segment", "net_change") == members
    assert {row["segment"]: row["members"] for row in sizes if row["members"]} == members
    assert Counter(row["is_first_day"] for row in moves) == {True: len(members), False: 2}
    assert sum(row["departed"] for row in moves) > 0
    assert behind == 24
