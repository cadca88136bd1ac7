"""segflow's own tables in the database: the schema's version, runs, and the steps of each.

`segflow.runs` has one row per run; `segflow.steps` one row per run and node; `segflow.approvals`
one row per guard that somebody let pass; `segments.status` one row per node with how fresh it is;
`segflow.stale_columns` what of a node stands on which failed one. Times are UTC.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from segflow import __version__
from segflow.compile.lineage import Stale
from segflow.compile.relations import literal, timestamp
from segflow.engines.base import Session
from segflow.errors import WorkspaceError

SCHEMA_VERSION = 3

_TABLES = """
create schema if not exists segflow;
create schema if not exists segments;
create table if not exists segflow.schema_version (version integer);
create table if not exists segflow.runs (
    run integer, as_of timestamp, command varchar, target varchar, vars varchar,
    started_at timestamp, segflow_version varchar, git_commit varchar,
    is_ok boolean
);
create table if not exists segflow.approvals (
    run integer, name varchar, guard varchar, moved bigint, approved bigint
);
create table if not exists segflow.project (run integer, archive blob, vars varchar);
create table if not exists segflow.steps (
    run integer, node varchar, kind varchar, relation varchar, status varchar, reason varchar,
    row_count bigint, seconds double
);
create table if not exists segflow.stale_columns (
    node varchar, column_name varchar, because_of varchar
);
create table if not exists segments.status (
    relation varchar, kind varchar, node varchar, as_of timestamp, run integer, state varchar,
    reason varchar
);
"""


@dataclass(frozen=True)
class TestResult:
    """`status` is `pass`, `warn` or `error`; `failures` counts the rows that are wrong."""

    node: str
    name: str
    status: str
    failures: int
    message: str = ""


@dataclass(frozen=True)
class Result:
    """How one node fared: `success`, `warn`, `error`, or `held` because of what it reads.

    `because` are the failed nodes at the root of a hold, or those that a good one's columns stand
    on. `rows` is None where nobody counted.
    """

    node: str
    kind: str
    name: str
    relation: str
    status: str
    message: str = ""
    rows: int | None = None
    seconds: float = 0.0
    tests: tuple[TestResult, ...] = ()
    because: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.status in ("success", "warn")


class Run(Struct, frozen=True):
    """One execution. `variables` are those of the command line."""

    run: int
    as_of: datetime
    command: str
    target: str
    variables: dict[str, object]
    started_at: datetime
    git_commit: str | None


class Status(Struct, frozen=True):
    """How fresh a relation is: `as_of` and `run` of its last good build."""

    relation: str
    kind: str
    node: str
    as_of: datetime | None
    run: int | None
    state: str
    reason: str

    @property
    def is_behind(self) -> bool:
        """Whether the last run that wanted to build it could not."""
        return self.state == "kept" or self.run is None


def prepare(session: Session) -> None:
    """Make segflow's own tables where they are missing.

    Raises:
        WorkspaceError: another version of segflow wrote this database.
    """
    check_version(session)
    for statement in _TABLES.split(";"):
        if statement.strip():
            session.execute(statement)
    if not session.rows("select 1 from segflow.schema_version"):
        session.execute(f"insert into segflow.schema_version values ({SCHEMA_VERSION})")


def check_version(session: Session) -> None:
    """Refuse a database that another version of segflow wrote; raises WorkspaceError."""
    if not session.relation_type("segflow", "schema_version"):
        return
    found = session.rows("select max(version) from segflow.schema_version")[0][0]
    if found is None or found == SCHEMA_VERSION:
        return
    age, hint = "newer", "update segflow: pip install --upgrade segflow"
    if found < SCHEMA_VERSION:
        age, hint = "trial", "nothing was released with it: name another path, or remove the file"
    raise WorkspaceError(
        f"the database was written by a {age} version of segflow (its schema is {found}, this one"
        f" knows {SCHEMA_VERSION})",
        hint=hint,
    )


def next_run(session: Session) -> int:
    return int(session.rows("select coalesce(max(run), 0) + 1 from segflow.runs")[0][0])


def last_run(session: Session) -> Run | None:
    """The last run that built something, None where there was none: a backfill builds nothing."""
    rows = session.rows(
        "select run, as_of, command, target, vars, started_at, git_commit"
        " from segflow.runs where run = (select max(run) from segflow.steps)"
    )
    if not rows:
        return None
    run, as_of, command, target, variables, started_at, commit = rows[0]
    return Run(run, as_of, command, target, msgspec.json.decode(variables), started_at, commit)


class KeptProject(Struct, frozen=True):
    """What runs were made of from `run` on, up to that of the next one: files, and vars as typed.

    `nodes` have their last good build from these runs.
    """

    run: int
    archive: bytes
    variables: dict[str, object]
    nodes: frozenset[str]


def keep_project(session: Session, run: int, archive: Path, variables: dict[str, object]) -> None:
    """Keep what a run was made of, and of earlier ones only what some node was last built by."""
    said = literal(msgspec.json.encode(variables).decode())
    file = f"read_blob({literal(str(archive))}) where content is not null"
    same = f"vars = {said} and archive = (select content from {file})"
    last = "run = (select max(run) from segflow.project)"
    if not session.rows(f"select 1 from segflow.project where {last} and {same}"):
        session.execute(f"insert into segflow.project select {run}, content, {said} from {file}")
    session.execute(
        f"delete from segflow.project where not {last} and run not in (select max(kept.run)"
        " from segments.status join segflow.project as kept on kept.run <= status.run"
        " group by node)"
    )


def kept_projects(session: Session) -> list[KeptProject]:
    """What the tables and members that stand were made by, the latest last."""
    rows = session.rows("select run, archive, vars from segflow.project order by run")
    built = [(n, s.run) for n, s in statuses(session).items() if s.run is not None]
    ends = [row[0] for row in rows[1:]] + [sys.maxsize]
    return [
        KeptProject(
            run,
            archive,
            msgspec.json.decode(variables),
            frozenset(node for node, last in built if run <= last < end),
        )
        for (run, archive, variables), end in zip(rows, ends, strict=True)
    ]


def last_rows(session: Session) -> dict[str, int | None]:
    """How many rows each node had when it was last built; None where they were not counted."""
    return dict(
        session.rows(
            "select node, row_count from segflow.steps where status in ('success', 'warn')"
            " qualify row_number() over (partition by node order by run desc) = 1"
        )
    )


def left_behind(session: Session) -> set[str]:
    """The nodes that are not up to date since some run, and those that stand on such a one."""
    behind = {node for node, status in statuses(session).items() if status.is_behind}
    return behind | stale(session).keys()


def stale(session: Session) -> dict[str, Stale]:
    """The columns that are not up to date, by node."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for node, column, root in session.rows("from segflow.stale_columns"):
        columns = found.setdefault(node, {})
        columns[column] = columns.get(column, frozenset()) | {root}
    return dict(found)


def statuses(session: Session) -> dict[str, Status]:
    """The state of every relation, by node."""
    rows = session.rows(
        "select relation, kind, node, as_of, run, state, reason from segments.status"
    )
    return {row[2]: Status(*row) for row in rows}


def record(
    session: Session,
    run: Run,
    results: Sequence[Result],
    nodes: set[str],
    stale: Mapping[str, Stale],
    approvals: Iterable[tuple[object, ...]],
) -> None:
    """Write a run down.

    Args:
        nodes: all that the project has; what else there was leaves `segments.status`.
        stale: the columns that are not up to date, by node.
        approvals: name, guard, contacts moved and approved, of each guard that let something pass.
    """
    is_ok = all(result.is_good for result in results)
    variables = msgspec.json.encode(run.variables).decode()
    session.execute(
        f"insert into segflow.runs values ({run.run}, {timestamp(run.as_of)},"
        f" {literal(run.command)}, {literal(run.target)}, {literal(variables)},"
        f" {timestamp(run.started_at)}, {literal(__version__)},"
        f" {literal(run.git_commit) if run.git_commit else 'null'}, {is_ok})"
    )
    _insert(
        session,
        "segflow.steps",
        [
            (run.run, r.node, r.kind, r.relation, r.status, r.message, r.rows, round(r.seconds, 3))
            for r in results
        ],
    )
    _insert(session, "segflow.approvals", [(run.run, *approval) for approval in approvals])
    session.execute("delete from segflow.stale_columns")
    _insert(
        session,
        "segflow.stale_columns",
        [
            (node, column, root)
            for node, columns in sorted(stale.items())
            for column, roots in sorted(columns.items())
            for root in sorted(roots)
        ],
    )
    known = {node: status for node, status in statuses(session).items() if node in nodes}
    for result in results:
        if result.kind != "source":
            known[result.node] = _status(result, run, known.get(result.node))
    ordered = sorted(known.values(), key=lambda status: (status.kind, status.relation))
    session.execute("create or replace table segments.status as from segments.status limit 0")
    _insert(session, "segments.status", [msgspec.structs.astuple(status) for status in ordered])


def _status(result: Result, run: Run, before: Status | None) -> Status:
    as_of, last = (before.as_of, before.run) if before else (None, None)
    state = "kept" if as_of else "empty"
    if result.is_good:
        as_of, last, state = run.as_of, run.run, "empty" if result.rows == 0 else "fresh"
    return Status(result.relation, result.kind, result.node, as_of, last, state, result.message)


def _insert(session: Session, table: str, rows: list[tuple[object, ...]]) -> None:
    for start in range(0, len(rows), 1000):
        values = ", ".join(
            f"({', '.join(_value(value) for value in row)})" for row in rows[start : start + 1000]
        )
        session.execute(f"insert into {table} values {values}")


def _value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return timestamp(value)
    return literal(value) if isinstance(value, str) else str(value)
