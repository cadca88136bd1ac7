"""A history of stays in, the same with other names, other ids or a shorter past out.

Each function writes the tables anew, and only where there is something to change.
"""

from collections.abc import Iterable
from datetime import datetime

from segflow.compile.graph import MERGES, Graph
from segflow.compile.relations import literal, quoted, timestamp
from segflow.engines.base import Session
from segflow.errors import WorkspaceError

_STAY = "segment, contact_id, entered_at, entered_run"


def listed(names: Iterable[str]) -> str:
    """Names as they stand in brackets after IN."""
    return ", ".join(literal(name) for name in names) or "null"


def check_clock(session: Session, segments: Iterable[str], as_of: datetime) -> None:
    """Refuse to go back: a segment's history is written forward.

    Raises:
        WorkspaceError: one of `segments` was evaluated at a later moment already.
    """
    if session.relation_type("segments", "evaluations") is None:
        return
    found = session.rows(
        "select segment, max(as_of) from segments.evaluations"
        f" where segment in ({listed(segments)}) group by segment"
        f" having max(as_of) > {timestamp(as_of)} order by 2 desc, 1"
    )
    if found:
        raise WorkspaceError(
            f"`{found[0][0]}` was evaluated as of {found[0][1]}, and {as_of} is before that",
            hint="name a later moment with --as-of, or add --backfill to `segflow run` to write its"
            " history anew from there",
        )


def rename(session: Session, graph: Graph, segments: Iterable[str]) -> None:
    """Give the history of a former segment to the one of `segments` that is renamed from it.

    Raises:
        WorkspaceError: that one has a history of its own.
    """
    if session.relation_type("segments", "evaluations") is None:
        return
    seen = {row[0] for row in session.rows("select distinct segment from segments.evaluations")}
    said = {name: graph.segments[name].config.renamed_from for name in segments}
    renamed = {old: new for new, old in said.items() if old and old in seen}
    for old, new in renamed.items():
        if new in seen:
            raise WorkspaceError(
                f"`{new}` is renamed from `{old}`, and both have a history",
                graph.segments[new].said_at("renamed_from"),
                "drop `renamed_from`, or take a name that was never used",
            )
        if session.relation_type("segments", old) == "view":
            session.execute(f"drop view segments.{quoted(old)}")
    cases = "".join(f" when {literal(old)} then {literal(new)}" for old, new in renamed.items())
    for table in ("memberships", "closed_stays", "evaluations") if renamed else ():
        order = " order by segment, contact_id" if table == "memberships" else ""
        session.execute(
            f"create or replace table segments.{table} as select * replace"
            f" (case segment{cases} else segment end as segment) from segments.{table}{order}"
        )


def merges_of(session: Session, graph: Graph) -> str | None:
    """Where merged ids lead, as a subquery; None where the project has no table of them."""
    node = graph.find(MERGES)
    relation = graph.relations.get(str(node))
    if relation is None or not session.relation_type(relation.schema, relation.identifier):
        return None
    return (
        f"(select distinct merged_contact_id, contact_id from {relation}"
        " where merged_contact_id != contact_id)"
    )


def rekey(session: Session, merges: str) -> None:
    """Turn the stays of merged ids into those of the contact that they are now.

    A contact's stays in a segment that overlap or touch become one, from the earliest entry on: the
    history is as if the merge had been known all along.
    """
    if not session.rows(
        "select 1 from segments.membership_history as stays"
        f" semi join {merges} as merges on stays.contact_id = merges.merged_contact_id limit 1"
    ):
        return
    session.execute(
        "create or replace temp table new_ids as"
        f" select merged_contact_id as old, contact_id as new from {merges}"
        f" union select contact_id, contact_id from {merges}"
    )
    session.execute(_MERGED)
    for table, columns, which in (
        ("memberships", _STAY, "= timestamp 'infinity' order by segment, contact_id"),
        ("closed_stays", f"{_STAY}, left_at, left_run", "< timestamp 'infinity'"),
    ):
        session.execute(
            f"create or replace table segments.{table} as select {columns} from segments.{table}"
            f" anti join new_ids on contact_id = old"
            f" union all select {columns} from stays_merged where left_at {which}"
        )
    session.execute("drop table new_ids")
    session.execute("drop table stays_merged")


_MERGED = """
create or replace temp table stays_merged as
with stays as (
    select segment, new as contact_id, entered_at, entered_run,
        coalesce(left_at, timestamp 'infinity') as left_at, left_run
    from segments.membership_history inner join new_ids on contact_id = old
),
apart as (
    select *, coalesce(entered_at > max(left_at) over (
        partition by segment, contact_id order by entered_at, left_at
        rows between unbounded preceding and 1 preceding
    ), true) as is_apart
    from stays
),
numbered as (
    select *, count(*) filter (where is_apart) over (
        partition by segment, contact_id order by entered_at, left_at rows unbounded preceding
    ) as stay
    from apart
)
select segment, contact_id, min(entered_at) as entered_at,
    arg_min(entered_run, entered_at) as entered_run,
    max(left_at) as left_at, arg_max(left_run, left_at) as left_run
from numbered group by segment, contact_id, stay
"""


def rewind(
    session: Session, segments: Iterable[str], as_of: datetime
) -> dict[datetime, tuple[str, ...]]:
    """Forget what happened to `segments` from a moment on: later stays, and that others ended.

    Returns:
        The moments after `as_of` at which they had been evaluated, in order, with which of them.
    """
    chosen, then = f"segment in ({listed(segments)})", timestamp(as_of)
    seen = session.rows(
        "select as_of, list(segment order by segment) from segments.evaluations"
        f" where {chosen} and as_of > {then} group by as_of order by as_of"
    )
    session.execute(
        f"create or replace table segments.memberships as select {_STAY} from segments.memberships"
        f" where not ({chosen} and entered_at >= {then})"
        f" union all select {_STAY} from segments.closed_stays"
        f" where {chosen} and entered_at < {then} and left_at >= {then}"
        " order by segment, contact_id"
    )
    for table, column in (("closed_stays", "left_at"), ("evaluations", "as_of")):
        session.execute(
            f"create or replace table segments.{table} as select * from segments.{table}"
            f" where not ({chosen} and {column} >= {then})"
        )
    return {moment: tuple(names) for moment, names in seen}
