"""Evaluated segments in; who is in, since when, and who was, out.

A stay is one contact's time in one segment. Open stays are `segments.memberships`, written anew by
every run; closed ones are appended to `segments.closed_stays`; both are
`segments.membership_history`. `entered_at` and `left_at` are the `as_of` of the run that saw it. A
rerun of one `as_of` starts from the state before it, so that it changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from segflow.audiences.guards import Change
from segflow.audiences.history import listed, rekey
from segflow.build.materializations import members_table
from segflow.compile.relations import Relation, literal, quoted, timestamp
from segflow.engines.base import SCRATCH, EngineError, Session
from segflow.errors import WorkspaceError

# One statement reads this many segments: planning a longer union costs more than it saves.
BATCH = 100

_MOVES = "moves"


@dataclass(frozen=True)
class Evaluation:
    """What is noted of each evaluation: its run and moment, and which definitions it was of.

    `fingerprints` are those of the segments' definitions, `definitions` their SELECTs at that
    moment, both by name.
    """

    run: int
    as_of: datetime
    git_commit: str | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Guarding:
    """Which changes have to wait.

    `windows` has the evaluated segments, each with the time within which coming and going counts as
    flapping, as SQL.
    """

    windows: Mapping[str, str | None]
    waits: Callable[[Change], bool]


@dataclass(frozen=True)
class Movement:
    """How many contacts a segment has now, and how many entered and left since its last run."""

    segment: str
    members: int
    entered: int
    left: int


def prepare(session: Session, contact_id_type: str) -> None:
    """Make the tables of memberships where they are missing; their key has the type of contacts'.

    Raises:
        WorkspaceError: it has another type now, which what was written does not convert to.
    """
    stay = (
        f"segment varchar, contact_id {contact_id_type}, entered_at timestamp, entered_run integer"
    )
    for statement in (
        f"create table if not exists segments.memberships ({stay})",
        "create table if not exists segments.closed_stays"
        f" ({stay}, left_at timestamp, left_run integer)",
        "create table if not exists segments.evaluations (run integer, as_of timestamp,"
        " segment varchar, members bigint, entered bigint, left_count bigint,"
        " fingerprint varchar, git_commit varchar)",
        "create or replace view segments.membership_history as"
        " select segment, contact_id, entered_at, left_at, entered_run, left_run"
        " from segments.closed_stays union all select segment, contact_id, entered_at, null,"
        " entered_run, null from segments.memberships",
        "create or replace view segments.membership_events as"
        " select stays.*, evaluations.fingerprint, evaluations.git_commit from ("
        "select segment, contact_id, 'entered' as event, entered_at as happened_at,"
        " entered_run as run from segments.membership_history union all"
        " select segment, contact_id, 'left', left_at, left_run from segments.closed_stays)"
        " as stays left join segments.evaluations as evaluations"
        " on stays.segment = evaluations.segment and stays.happened_at = evaluations.as_of",
        "create or replace view segments.sizes as"
        " select run, as_of, cast(as_of as date) as as_of_date,"
        " row_number() over (partition by segment, cast(as_of as date) order by as_of desc) = 1"
        ' as is_last_of_day, segment, members, entered, left_count as "left"'
        " from segments.evaluations",
    ):
        session.execute(statement)
    for table in ("segments.memberships", "segments.closed_stays"):
        _retype(session, table, contact_id_type)


def _retype(session: Session, table: str, kind: str) -> None:
    written = session.columns(f"select contact_id from {table}")[0][1]
    if written == kind:
        return
    try:
        session.execute(f"alter table {table} alter column contact_id type {kind}")
    except EngineError as error:
        raise WorkspaceError(
            f"contact_id is {kind} in contacts and {written} in {table}: {error.message}",
            hint="give contacts the old type, or begin a new history in another database",
        ) from None


def gone(session: Session, known: Iterable[str]) -> list[str]:
    """Segments with open stays that the project no longer has."""
    rows = session.rows(
        "select distinct segment from segments.memberships"
        f" where segment not in ({listed([*known, ''])}) order by 1"
    )
    return [row[0] for row in rows]


def drop_views(session: Session, known: Iterable[str]) -> None:
    """Drop the views of segments that the project no longer has."""
    former = session.rows(
        "select distinct segment from segments.evaluations"
        f" where segment not in ({listed([*known, ''])})"
    )
    for (name,) in former:
        if session.relation_type("segments", name) == "view":
            session.execute(f"drop view segments.{quoted(name)}")


def update(
    session: Session,
    evaluated: list[str],
    removed: list[str],
    evaluation: Evaluation,
    merges: str | None = None,
    guarding: Guarding | None = None,
) -> list[Movement]:
    """Compare the contacts put aside for each evaluated segment with its open stays.

    Those of `removed` segments are all closed; those of other segments stay as they are.

    Args:
        merges: a subquery that says where merged ids lead: who has a new one enters and leaves
            nothing by it.
        guarding: says which changes have to wait: their segments stay as they are, too.
    """
    moved = [*evaluated, *_not_later(session, removed, evaluation.as_of)]
    if merges:
        with session.transaction():
            rekey(session, merges)
    now, movements = timestamp(evaluation.as_of), []
    # Not in the transaction: of a row group or more inserted into a table that the same transaction
    # made by a SELECT without rows, DuckDB 2.0.0 finds nothing again.
    _compare(session, moved, evaluated, merges, now)
    with session.transaction():
        if guarding:
            changes = _changes(session, guarding.windows, now)
            held = {change.name for change in changes if guarding.waits(change)}
            moved = [name for name in moved if name not in held]
        if moved:
            movements = _update(session, moved, evaluation)
    session.execute(f"drop table {_MOVES}")
    _mend_views(session, moved)
    return movements


@contextmanager
def as_if_moved(session: Session, held: list[str], merges: str | None) -> Iterator[None]:
    """For a while, let segments that guards hold have the members they were evaluated to."""
    before = f'{SCRATCH}."memberships before"'
    session.execute(f"create or replace table {before} as from segments.memberships")
    session.execute(
        "create or replace table segments.memberships as select * from segments.memberships"
        f" where segment not in ({listed(held)})"
    )
    for start in range(0, len(held), BATCH):
        members = _members(session, held[start : start + BATCH], merges)
        session.execute(f"insert into segments.memberships by name from {members}")
    yield
    session.execute(f"create or replace table segments.memberships as from {before}")
    session.execute(f"drop table {before}")


def _not_later(session: Session, removed: list[str], as_of: datetime) -> list[str]:
    """Removed segments without those that were evaluated at a later moment than this run's."""
    rows = session.rows(
        "select distinct segment from segments.evaluations"
        f" where segment in ({listed(removed)}) and as_of > {timestamp(as_of)}"
    )
    later = {row[0] for row in rows}
    return [name for name in removed if name not in later]


def keep_view(session: Session, relation: Relation, segment: str, sql: str) -> None:
    """Let the view of a segment that is held back show its members, and the evidence for them.

    What its definition says now of others is not to be seen; of members of whom it says nothing
    more, the evidence is null. Where the definition does not bind, there is none.
    """
    members = f"select contact_id from segments.memberships where segment = {literal(segment)}"
    try:
        session.columns(sql)
    except EngineError:
        session.execute(f"create or replace view {relation} as {members}")
        return
    session.execute(
        f"create or replace view {relation} as select members.contact_id,"
        f" evidence.* exclude (contact_id) from ({members}) as members left join (\n{sql}\n)"
        " as evidence on members.contact_id = evidence.contact_id"
    )


def _mend_views(session: Session, moved: list[str]) -> None:
    """A segment left alone keeps its view; one that no longer binds shows its last membership."""
    segments = session.rows(
        "select distinct relation, segment from segments.status inner join segments.evaluations"
        " on segment = split_part(node, '.', -1) where kind = 'segment'"
    )
    for relation, name in segments:
        if name in moved:
            continue
        try:
            session.columns(f"select * from {relation}")
        except EngineError:
            session.execute(
                f"create or replace view {relation} as select contact_id, entered_at"
                f" from segments.memberships where segment = {literal(name)}"
            )


def _members(session: Session, evaluated: Iterable[str], merges: str | None) -> str:
    """The contacts put aside for segments, by the ids that they have now, as a subquery."""
    union = "(select segment, contact_id from segments.memberships limit 0)" + "".join(
        f" union all select {literal(name)}, contact_id from {members_table(name)}"
        for name in evaluated
    )
    merged = f"{merges} as merges on members.contact_id = merges.merged_contact_id"
    if merges and session.rows(f"select 1 from ({union}) as members semi join {merged} limit 1"):
        union = (
            "select distinct segment, coalesce(merges.contact_id, members.contact_id) as contact_id"
            f" from ({union}) as members left join {merged}"
        )
    return f"({union})"


def _changes(session: Session, evaluated: Mapping[str, str | None], now: str) -> list[Change]:
    """What each evaluated segment would become, from what stands published now."""
    if not evaluated:
        return []
    windows = ", ".join(
        f"({literal(name)}, {window or 'null::interval'})" for name, window in evaluated.items()
    )
    rows = session.rows(
        f"with windows (segment, flapping) as (values {windows}),"
        f" back as (select segment, contact_id from {_MOVES} join windows using (segment)"
        " join segments.closed_stays as closed using (segment, contact_id)"
        f" where not was_in and closed.left_at < {now} and closed.left_at > {now} - flapping"
        " group by all)"
        " select segment, count(*) filter (where is_in and not was_in),"
        " count(*) filter (where was_in and not is_in),"
        f" count(*) filter (where was_in and not is_in and entered_at > {now} - flapping or"
        f" is_in and back.contact_id is not null) from windows join {_MOVES} using (segment)"
        " left join back using (segment, contact_id) group by segment"
    )
    sizes, found = _sizes(session), {row[0]: row[1:] for row in rows}
    changes = []
    for name in evaluated:
        size, (entered, left, flapping) = sizes.get(name, 0), found.get(name, (0, 0, 0))
        changes.append(Change(name, size, size + entered - left, entered, left, flapping))
    return changes


def _compare(
    session: Session, moved: list[str], evaluated: list[str], merges: str | None, now: str
) -> None:
    """Put aside whose stays change, by what stands published and before this moment.

    A stay that is closed as of this very moment was open before it; one that began at it had not.
    """
    session.execute(
        f"create or replace temp table {_MOVES} as select *, true as was_in,"
        " true as was_in_before, true as is_in from segments.memberships limit 0"
    )
    stay = "select segment, contact_id, entered_at, entered_run"
    for start in range(0, len(moved), BATCH):
        names = moved[start : start + BATCH]
        # As a value it is asked once per name; by itself, IN would join each row to the names.
        chosen = f"coalesce(segment in ({listed(names)}), false)"
        members = _members(session, [n for n in names if n in evaluated], merges)
        session.execute(
            f"insert into {_MOVES} select segment, contact_id, before.entered_at,"
            " before.entered_run, coalesce(before.is_open, false),"
            f" coalesce(before.entered_at < {now}, false), members.contact_id is not null"
            f" from {members} as members full join"
            f" ({stay}, true as is_open from segments.memberships where {chosen} union all"
            f" {stay}, false from segments.closed_stays where {chosen} and left_at = {now})"
            " as before using (segment, contact_id) where members.contact_id is null"
            f" or before.is_open is distinct from true or before.entered_at >= {now}"
        )


def _update(session: Session, moved: list[str], evaluation: Evaluation) -> list[Movement]:
    run, now = evaluation.run, timestamp(evaluation.as_of)
    chosen = f"segment in ({listed(moved)})"
    closed = (
        f"select segment, contact_id, entered_at, entered_run, {now}, {run} from {_MOVES}"
        f" where {chosen} and was_in_before and not is_in order by segment, contact_id"
    )
    again = f"{chosen} and left_at = {now}"
    if session.rows(f"select 1 from segments.closed_stays where {again} limit 1"):
        session.execute(
            "create or replace table segments.closed_stays as"
            f" select * from segments.closed_stays where not ({again}) union all ({closed})"
        )
    else:
        session.execute(f"insert into segments.closed_stays {closed}")
    session.execute(
        "create or replace table segments.memberships as"
        f" select * from segments.memberships anti join (from {_MOVES} where {chosen})"
        " using (segment, contact_id) union all"
        f" select segment, contact_id, if(was_in_before, entered_at, {now}),"
        f" if(was_in_before, entered_run, {run})"
        f" from {_MOVES} where {chosen} and is_in"
    )
    movements = _movements(session, moved)
    session.execute(
        f"create or replace table segments.evaluations as select * from segments.evaluations"
        f" where not ({chosen} and as_of = {now})"
    )
    commit = literal(evaluation.git_commit) if evaluation.git_commit else "null"
    values = ", ".join(
        f"({run}, {now}, {literal(m.segment)}, {m.members}, {m.entered}, {m.left},"
        f" {literal(evaluation.fingerprints.get(m.segment, ''))}, {commit})"
        for m in movements
    )
    session.execute(f"insert into segments.evaluations values {values}")
    return movements


def _movements(session: Session, moved: list[str]) -> list[Movement]:
    rows = session.rows(
        "select segment, count(*) filter (where is_in and not was_in_before),"
        f" count(*) filter (where was_in_before and not is_in) from {_MOVES} group by segment"
    )
    sizes, found = _sizes(session), {row[0]: row[1:] for row in rows}
    return [Movement(name, sizes.get(name, 0), *found.get(name, (0, 0))) for name in moved]


def _sizes(session: Session) -> dict[str, int]:
    return dict(session.rows("select segment, count(*) from segments.memberships group by segment"))
