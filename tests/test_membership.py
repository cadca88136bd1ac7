"""Who is in which segment since when: one run, many runs, and any sequence of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segflow import journal
from segflow.audiences import membership
from segflow.audiences.membership import Evaluation
from segflow.build.evaluation import members_table
from segflow.engines.base import Session
from segflow.engines.duckdb import DuckDB, DuckDBSettings
from tests.conftest import AS_OF, SEGFLOW_YML, MakeProject, Project
from tests.line import LATER, NEXT_DAY, members

HISTORY = (
    "select contact_id, entered_at::varchar, left_at::varchar from segments.membership_history"
    " where segment = 's' order by all"
)
SIZES = (
    "select as_of::varchar, members, entered, \"left\" from segments.sizes where segment = 's'"
    " order by 1"
)


def segment(*ids: str | None) -> str:
    rows = ", ".join("(null)" if one is None else f"('{one}')" for one in ids)
    return f"select contact_id::varchar as contact_id from (values {rows}) as t (contact_id)"


def small(project: MakeProject, *ids: str) -> Project:
    return project(
        {
            "models/contacts.sql": segment("a", "b", "c"),
            "models/segments/s.sql": segment(*ids),
            "models/segments/other.sql": segment("c"),
        }
    )


def test_contacts_enter_and_leave(project: MakeProject) -> None:
    made = small(project, "a", "b")
    made.run()
    made.write({"models/segments/s.sql": segment("b", "c")})
    made.run("--as-of", NEXT_DAY)
    made.write({"models/segments/s.sql": segment("a", "b")})
    made.run("--as-of", LATER)
    assert made.rows(HISTORY) == [
        ("a", AS_OF, NEXT_DAY),
        ("a", LATER, None),
        ("b", AS_OF, None),
        ("c", NEXT_DAY, LATER),
    ]
    assert made.rows(SIZES) == [(AS_OF, 2, 2, 0), (NEXT_DAY, 2, 1, 1), (LATER, 2, 1, 1)]
    assert members(made) == {"s": ["a", "b"], "other": ["c"]}


def test_a_rerun_of_one_moment_starts_from_the_state_before_it(project: MakeProject) -> None:
    made = small(project, "a", "b")
    made.run()
    made.write({"models/segments/s.sql": segment("b", "c")})
    made.run("--as-of", NEXT_DAY)
    history, sizes = made.rows(HISTORY), made.rows(SIZES)
    made.run("--as-of", NEXT_DAY)
    assert (made.rows(HISTORY), made.rows(SIZES)) == (history, sizes)
    made.write({"models/segments/s.sql": segment("a")})
    made.run("--as-of", NEXT_DAY)
    assert made.rows(HISTORY) == [("a", AS_OF, None), ("b", AS_OF, NEXT_DAY)]
    assert made.rows(SIZES) == [(AS_OF, 2, 2, 0), (NEXT_DAY, 1, 0, 1)]
    made.write({"models/segments/s.sql": segment("b", "c")})
    made.run("--as-of", NEXT_DAY)
    assert (made.rows(HISTORY), made.rows(SIZES)) == (history, sizes)


def test_last_of_day(project: MakeProject) -> None:
    made = small(project, "a")
    made.run("--as-of", "2026-07-01 02:00:00")
    made.run("--as-of", "2026-07-01 14:00:00")
    made.run("--as-of", "2026-07-02 02:00:00")
    assert made.rows(
        "select as_of_date::varchar, is_last_of_day from segments.sizes where segment = 's'"
        " order by as_of"
    ) == [("2026-07-01", False), ("2026-07-01", True), ("2026-07-02", True)]


def test_a_partial_run_moves_only_what_was_chosen(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    made.write({"models/segments/s.sql": segment("b"), "models/segments/other.sql": segment("a")})
    made.run("--select", "s", "--as-of", NEXT_DAY)
    assert members(made) == {"s": ["b"], "other": ["c"]}
    made.run("--as-of", NEXT_DAY)
    assert members(made) == {"s": ["b"], "other": ["a"]}
    assert made.rows(HISTORY) == [("a", AS_OF, NEXT_DAY), ("b", NEXT_DAY, None)]


def test_going_back_in_time_is_refused(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    made.run("--select", "s", "--as-of", NEXT_DAY)
    before = made.database.read_bytes()
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert f"`s` was evaluated as of {NEXT_DAY}, and {AS_OF} is before that" in outcome.err
    assert made.database.read_bytes() == before
    made.run("--select", "other")


def test_stays_of_a_removed_segment_are_closed_by_a_whole_run(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    (made.root / "models/segments/s.sql").unlink()
    made.run("--select", "other", "--as-of", NEXT_DAY)
    assert members(made)["s"] == ["a"]
    made.run("--as-of", NEXT_DAY)
    assert made.rows(HISTORY) == [("a", AS_OF, NEXT_DAY)]
    assert made.rows(SIZES)[-1] == (NEXT_DAY, 0, 0, 1)
    made.run("--as-of", NEXT_DAY)
    assert made.rows(HISTORY) == [("a", AS_OF, NEXT_DAY)]
    made.write({"models/segments/s.sql": segment("a")})
    made.run("--as-of", NEXT_DAY)
    assert made.rows(HISTORY) == [("a", AS_OF, None)]
    for name in ("s", "other"):
        (made.root / f"models/segments/{name}.sql").unlink()
    made.run("--as-of", LATER)
    assert members(made) == {}


def test_a_removed_segment_of_a_later_moment_is_left_alone(project: MakeProject) -> None:
    made = small(project, "a")
    made.run("--select", "contacts", "s", "--as-of", LATER)
    (made.root / "models/segments/s.sql").unlink()
    made.run("--as-of", NEXT_DAY)
    assert members(made) == {"s": ["a"], "other": ["c"]}


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "b", "a"], "1 rows too many: a segment has one row per contact_id, and 'a' comes 2"),
        (["a", None], "1 rows have no contact_id"),
    ],
)
def test_a_wrong_segment_fails_alone(
    project: MakeProject, ids: list[str | None], said: str
) -> None:
    made = small(project, "a", "b")
    made.write({"models/segments/reads.sql": "select contact_id from {{ ref('s') }}"})
    made.run()
    made.write(
        {
            "models/segments/s.sql": segment(*ids),
            "models/segments/other.sql": segment("a", "b"),
        }
    )
    outcome = made.segflow("run", "--as-of", NEXT_DAY, "--output", "json")
    nodes = {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}
    assert nodes == {"contacts": "success", "s": "error", "reads": "held", "other": "success"}
    assert said in outcome.json["errors"][0]
    assert members(made) == {"s": ["a", "b"], "reads": ["a", "b"], "other": ["a", "b"]}
    assert made.rows("select count(*) from segments.s") == [(2,)]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_contact_id_of_another_type(project: MakeProject, threads: str) -> None:
    made = small(project, "a")
    made.write({"models/segments/s.sql": "select 1 as contact_id"})
    outcome = made.segflow("run", "--threads", threads, "--output", "json")
    assert (
        "contact_id is INTEGER here and VARCHAR in lifecycle.contacts" in outcome.json["errors"][0]
    )
    assert members(made) == {"other": ["c"]}


def test_contacts_get_another_type(project: MakeProject) -> None:
    one = "select {} as contact_id"
    made = project(
        {"models/contacts.sql": one.format("1"), "models/segments/s.sql": one.format("1")}
    )
    made.run()
    made.write(
        {"models/contacts.sql": one.format("'1'"), "models/segments/s.sql": one.format("'1'")}
    )
    made.run("--as-of", NEXT_DAY)
    assert made.rows(HISTORY) == [("1", AS_OF, None)]
    made.write(
        {"models/contacts.sql": one.format("'x'"), "models/segments/s.sql": one.format("'x'")}
    )
    made.run("--as-of", LATER)
    made.write({"models/contacts.sql": one.format("1"), "models/segments/s.sql": one.format("1")})
    outcome = made.segflow("run", "--as-of", LATER)
    assert outcome.code == 2
    assert "contact_id is INTEGER in contacts and VARCHAR in segments.memberships" in outcome.err
    assert members(made) == {"s": ["x"]}


# ── any sequence of runs ──────────────────────────────────────────────────────────────────────

NAMES = ("p", "q", "r")
START = datetime(2026, 7, 1)
Members = frozenset[str]
# What one run does: how many hours later it is, and for each segment it evaluates its members.
Evaluated = dict[str, Members]
IDS = st.frozensets(st.sampled_from("abcdef"))
RUNS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 24, 48]),
        st.dictionaries(st.sampled_from(NAMES), IDS, min_size=1),
        st.sets(st.sampled_from(NAMES)),
    ),
    min_size=1,
    max_size=6,
)


class Stays:
    """What memberships mean, in Python: the members of each segment at each moment it was seen."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[datetime, Members]] = {}

    def see(self, name: str, moment: datetime, ids: Members) -> None:
        self.seen.setdefault(name, {})[moment] = ids

    def history(self) -> list[tuple[Any, ...]]:
        """Segment, contact, entered, left of every stay."""
        stays: list[tuple[Any, ...]] = []
        for name, moments in self.seen.items():
            entered: dict[str, datetime] = {}
            for moment in sorted(moments):
                for one in sorted(entered.keys() - moments[moment]):
                    stays.append((name, one, entered.pop(one), moment))
                for one in moments[moment] - entered.keys():
                    entered[one] = moment
            stays += [(name, one, since, None) for one, since in entered.items()]
        return sorted(stays, key=str)


@contextmanager
def fresh_session(folder: Path) -> Iterator[Session]:
    engine = DuckDB(DuckDBSettings(path="m.duckdb"), folder, 2)
    engine.open_run()
    with engine.session() as session:
        journal.prepare(session)
        membership.prepare(session, "VARCHAR")
        yield session
    engine.discard_run()


def put_aside(session: Session, evaluated: Evaluated) -> list[str]:
    for name, ids in evaluated.items():
        values = ", ".join(f"'{one}'" for one in sorted(ids))
        session.execute(
            f"create or replace table {members_table(name)} as"
            f" select unnest([{values}]::varchar[]) as contact_id"
        )
    return list(evaluated)


def stays(session: Session) -> list[tuple[Any, ...]]:
    rows = session.rows(
        "select segment, contact_id, entered_at, left_at from segments.membership_history"
    )
    return sorted(rows, key=str)


# Every example works on a database of its own, whatever the fixture's scope.
PATIENT = settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PATIENT
@given(runs=RUNS)
def test_any_sequence_of_evaluations(tmp_path: Path, runs: list[Any]) -> None:
    expected, moment = Stays(), START
    with fresh_session(tmp_path) as session:
        for number, (hours, evaluated, removed) in enumerate(runs, 1):
            moment += timedelta(hours=hours)
            gone = [name for name in sorted(removed) if name not in evaluated]
            before = {name: len(ids) for name, ids in open_stays(expected, moment).items()}
            for name, ids in evaluated.items():
                expected.see(name, moment, ids)
            for name in gone:
                if name in expected.seen:
                    expected.see(name, moment, frozenset())
            moves = membership.update(
                session, put_aside(session, evaluated), gone, Evaluation(number, moment)
            )
            assert stays(session) == expected.history()
            for move in moves:
                assert move.members == len(evaluated.get(move.segment, ()))
                assert move.entered - move.left == move.members - before.get(move.segment, 0)


def open_stays(expected: Stays, moment: datetime) -> dict[str, Members]:
    """Who was in each segment just before a moment."""
    return {
        name: moments[max(seen)]
        for name, moments in expected.seen.items()
        if (seen := [m for m in moments if m < moment])
    }


@PATIENT
@given(runs=RUNS)
def test_together_is_the_same_as_one_by_one(tmp_path: Path, runs: list[Any]) -> None:
    found = []
    for one_by_one in (False, True):
        moment = START
        with fresh_session(tmp_path) as session:
            for number, (hours, evaluated, _) in enumerate(runs, 1):
                moment += timedelta(hours=hours)
                names = put_aside(session, evaluated)
                for group in [[name] for name in names] if one_by_one else [names]:
                    membership.update(session, group, [], Evaluation(number, moment))
            sizes = session.rows("from segments.sizes order by all")
            found.append((stays(session), sizes))
    assert found[0] == found[1]


# A whole run, a partial one, or one in which a segment fails; the moment stays or moves on.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 24]),
        st.dictionaries(st.sampled_from(NAMES), IDS, min_size=1),
        st.none() | st.sets(st.sampled_from(NAMES), min_size=1),
        st.none() | st.sampled_from(NAMES),
    ),
    min_size=4,
    max_size=6,
)


@settings(PATIENT, max_examples=5, phases=[Phase.generate])
@given(steps=STEPS)
def test_any_sequence_of_runs(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    made = Project(tmp_path_factory.mktemp("runs"))
    contents = dict.fromkeys(NAMES, frozenset("a"))
    made.write({"segflow.yml": SEGFLOW_YML, "models/contacts.sql": segment(*"abcdef")})
    expected, moment = Stays(), START
    for hours, changed, chosen, failing in steps:
        moment += timedelta(hours=hours)
        contents |= changed
        for name, ids in contents.items():
            sql = f"{segment(*sorted(ids), 'z')} where contact_id != 'z'"
            sql += " union all select unnest(['b', 'b'])" if name == failing else ""
            made.write({f"models/segments/{name}.sql": sql})
        select = ["--select", *sorted(chosen), "contacts"] if chosen else []
        outcome = made.segflow("run", *select, "--as-of", str(moment))
        evaluated = (chosen or set(NAMES)) - {failing}
        assert outcome.code == int(bool(failing in (chosen or NAMES)))
        for name in evaluated:
            expected.see(name, moment, contents[name])
        rows = made.rows(
            "select segment, contact_id, entered_at, left_at from segments.membership_history"
        )
        assert sorted(rows, key=str) == expected.history()
