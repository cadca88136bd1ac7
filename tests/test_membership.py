"""Who is in which segment since when: one run, many runs, and any sequence of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segflow import journal
from segflow.audiences import history, membership
from segflow.audiences.membership import Evaluation, Movement
from segflow.build.materializations import members_table
from segflow.engines.base import Session
from segflow.engines.duckdb import DuckDB, DuckDBSettings
from tests.conftest import AS_OF, SEGFLOW_YML, MakeProject, Project
from tests.line import LATER, NEXT_DAY, members
from tests.test_workspace import running

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
    """What memberships mean, in Python: the members of each segment at each moment it was seen.

    Whoever is merged has always been the contact that she is now.
    """

    def __init__(self) -> None:
        self.seen: dict[str, dict[datetime, Members]] = {}
        self.merged: dict[str, str] = {}

    def see(self, name: str, moment: datetime, ids: Members) -> None:
        self.seen.setdefault(name, {})[moment] = ids

    def merge(self, old: str, new: str) -> None:
        """Ids lead to those before them in the alphabet, so that none leads to itself."""
        self.merged.setdefault(old, new)

    def now(self, ids: Members) -> Members:
        found = set()
        for each in ids:
            one = each
            while one in self.merged:
                one = self.merged[one]
            found.add(one)
        return frozenset(found)

    def merges(self) -> str:
        """The table of merges, its chains followed to their end."""
        ends = [f"('{old}', '{min(self.now(frozenset(old)))}')" for old in sorted(self.merged)]
        values = ", ".join(["(null, null)", *ends])
        return (
            "select merged_contact_id::varchar as merged_contact_id, contact_id::varchar as"
            f" contact_id from (values {values}) as t (merged_contact_id, contact_id)"
            " where contact_id is not null"
        )

    def rewind(self, names: list[str], begin: datetime) -> dict[datetime, tuple[str, ...]]:
        """Forget what was seen from a moment on, and say what it was."""
        found: dict[datetime, list[str]] = {begin: sorted(names)}
        for name in sorted(names):
            for moment in [m for m in self.seen.get(name, {}) if m >= begin]:
                del self.seen[name][moment]
                if moment > begin:
                    found.setdefault(moment, []).append(name)
        return {moment: tuple(found[moment]) for moment in sorted(found)}

    def history(self) -> list[tuple[Any, ...]]:
        """Segment, contact, entered, left of every stay."""
        stays: list[tuple[Any, ...]] = []
        for name, moments in self.seen.items():
            entered: dict[str, datetime] = {}
            for moment in sorted(moments):
                ids = self.now(moments[moment])
                for one in sorted(entered.keys() - ids):
                    stays.append((name, one, entered.pop(one), moment))
                for one in ids - entered.keys():
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


# What happens before a run, if anything: a merge of two ids, or a backfill so many hours back, with
# what each evaluation in it finds.
PAIRS = st.sampled_from([(old, new) for old in "bcdef" for new in "abcde" if new < old])
BACKFILLS = st.tuples(st.sampled_from([24, 48, 72, 30]), st.lists(IDS, min_size=3, max_size=3))
HISTORIES = st.lists(
    st.tuples(st.none() | PAIRS | BACKFILLS, RUNS.map(lambda runs: runs[0])),
    min_size=1,
    max_size=8,
)


@settings(PATIENT, phases=[Phase.generate])
@given(steps=HISTORIES)
def test_any_sequence_of_evaluations(tmp_path: Path, steps: list[Any]) -> None:
    expected, moment = Stays(), START
    with fresh_session(tmp_path) as session:
        for number, (before, (hours, evaluated, removed)) in enumerate(steps, 1):
            if before and isinstance(before[0], str):
                expected.merge(*before)
            elif before:
                since = moment - timedelta(hours=before[0])
                fill(session, expected, sorted(evaluated), since, before[1])
            moment += timedelta(hours=hours)
            gone = [n for n in sorted(removed) if n not in evaluated and expected.seen.get(n)]
            had = {n: len(expected.now(ids)) for n, ids in open_stays(expected, moment).items()}
            for name, ids in evaluated.items():
                expected.see(name, moment, ids)
            for name in gone:
                expected.see(name, moment, frozenset())
            names, now = put_aside(session, evaluated), Evaluation(number, moment)
            moves = membership.update(session, names, gone, now, f"({expected.merges()})")
            assert stays(session) == expected.history()
            for move in moves:
                members = expected.now(evaluated.get(move.segment, frozenset()))
                assert move.members == len(members)
                assert move.entered - move.left == move.members - had.get(move.segment, 0)


def test_many_enter_leave_and_are_told_again(tmp_path: Path) -> None:
    """More than DuckDB writes as one row group."""
    count, later = 300_000, START + timedelta(days=1)
    with fresh_session(tmp_path) as session:
        for number, (moment, size) in enumerate(((START, count), (later, 0), (later, 1)), 1):
            ids = f"select 'c' || range as contact_id from range({size})"
            session.execute(f"create or replace table {members_table('s')} as {ids}")
            move = membership.update(session, ["s"], [], Evaluation(number, moment))[0]
            assert move == Movement("s", size, count if number == 1 else 0, count - size)
            rows = session.rows("select left_at, contact_id from segments.membership_history")
            assert len(set(rows)) == count
            assert sum(left_at is None for left_at, _ in rows) == size


def fill(
    session: Session, expected: Stays, names: list[str], begin: datetime, found: list[Members]
) -> None:
    """Write the history of segments anew from a moment on."""
    merges = f"({expected.merges()})"
    recorded = history.rewind(session, names, begin)
    moments = expected.rewind(names, begin)
    assert {begin: tuple(names), **recorded} == moments
    for number, (moment, seen) in enumerate(moments.items()):
        evaluated = dict.fromkeys(seen, found[number % 3])
        for name, ids in evaluated.items():
            expected.see(name, moment, ids)
        now = Evaluation(0, moment)
        membership.update(session, put_aside(session, evaluated), [], now, merges)


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
    for one_by_one, batch in ((False, membership.BATCH), (False, 2), (True, 1)):
        moment = START
        with fresh_session(tmp_path) as session, pytest.MonkeyPatch.context() as patch:
            patch.setattr(membership, "BATCH", batch)
            for number, (hours, evaluated, _) in enumerate(runs, 1):
                moment += timedelta(hours=hours)
                names = put_aside(session, evaluated)
                for group in [[name] for name in names] if one_by_one else [names]:
                    membership.update(session, group, [], Evaluation(number, moment))
            sizes = session.rows("from segments.sizes order by all")
            found.append((stays(session), sizes))
    assert found[0] == found[1] == found[2]


# A whole run, a partial one, or one in which a segment fails; the moment stays or moves on. Before
# it ids are merged, a segment gets another name, the past is written anew, or a run is killed.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 24]),
        st.dictionaries(st.sampled_from(NAMES), IDS, min_size=1),
        st.none() | st.sets(st.sampled_from(NAMES), min_size=1),
        st.none() | st.sampled_from(NAMES),
        st.none() | PAIRS | st.sampled_from(NAMES) | st.integers(0, 60) | st.floats(0.3, 1.2),
    ),
    min_size=4,
    max_size=6,
)


@settings(PATIENT, max_examples=6, phases=[Phase.generate])
@given(steps=STEPS)
def test_any_sequence_of_runs(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    made = Project(tmp_path_factory.mktemp("runs"))
    contents = dict.fromkeys(NAMES, frozenset("a"))
    made.write({"segflow.yml": SEGFLOW_YML, "models/contacts.sql": segment(*"abcdef")})
    expected, moment, names = Stays(), START, {name: name for name in NAMES}
    for hours, changed, chosen, failing, before in steps:
        contents |= changed
        if before in NAMES and names[before] in expected.seen and before in (chosen or NAMES):
            expected.seen[f"{names[before]}_"] = expected.seen.pop(names[before])
            (made.root / f"models/segments/{names[before]}.sql").unlink()
            names[before] += "_"
        elif isinstance(before, tuple):
            expected.merge(*before)
        elif isinstance(before, int) and expected.seen:
            begin = moment - timedelta(hours=before)
            write_segments(made, names, contents, expected, None)
            filled = [names[name] for name in chosen or NAMES]
            made.run("--backfill", "--as-of", str(begin), "-s", *filled)
            for then, seen in expected.rewind(filled, begin).items():
                for name in seen:
                    expected.see(name, then, contents[name.rstrip("_")])
        moment += timedelta(hours=hours)
        write_segments(made, names, contents, expected, failing)
        select = [names[name] for name in sorted(chosen or ())]
        select = ["--select", *select, "contacts", "merged_contacts"] if chosen else []
        command = ["run", *select, "--as-of", str(moment)]
        if isinstance(before, float):
            with running(made, *command):
                time.sleep(before)
        outcome = made.segflow(*command)
        evaluated = (chosen or set(NAMES)) - {failing}
        assert outcome.code == int(bool(failing in (chosen or NAMES)))
        for name in evaluated:
            expected.see(names[name], moment, contents[name])
        rows = made.rows(
            "select segment, contact_id, entered_at, left_at from segments.membership_history"
        )
        assert sorted(rows, key=str) == expected.history()


def write_segments(
    made: Project,
    names: dict[str, str],
    contents: Evaluated,
    expected: Stays,
    failing: str | None,
) -> None:
    """The segments by their names of now, and the merges."""
    made.write({"models/merged_contacts.sql": expected.merges()})
    for name, ids in contents.items():
        sql = f"{segment(*sorted(ids), 'z')} where contact_id != 'z'"
        sql += " union all select unnest(['b', 'b'])" if name == failing else ""
        if names[name] != name:
            sql = f"{{{{ config(renamed_from='{names[name][:-1]}') }}}} {sql}"
        made.write({f"models/segments/{names[name]}.sql": sql})
