"""Definitions in; how many contacts each of their clauses lets through out, and a table of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from segflow.compile.definitions import Definition
from segflow.compile.relations import at, literal, timestamp
from segflow.engines.base import Session

_TABLE = "segments.clauses"


@dataclass(frozen=True)
class Count:
    """A clause in contacts: who passes it, whom it alone keeps out, the size without it.

    These do not depend on the order of the clauses. `why` says why it cannot be taken apart.
    """

    sql: str
    passes: int
    keeps_out: int
    without: int
    why: str = ""


def count_clauses(session: Session, definition: Definition, as_of: datetime) -> tuple[Count, ...]:
    """What each clause of a definition does, over all contacts; one statement."""
    conditions = [f"coalesce({clause.sql}, false)" for clause in definition.clauses]
    counted = [" and ".join(conditions)]
    for index, condition in enumerate(conditions):
        others = conditions[:index] + conditions[index + 1 :]
        counted += [condition, " and ".join(others) or "true"]
    counts = ", ".join(f"count(*) filter ({c})" for c in counted)
    sql = f"select {counts} from {definition.source}"
    if definition.is_joined:
        hers = ", ".join(f"bool_or({c}) as is_{i}" for i, c in enumerate(counted))
        counts = ", ".join(f"count(*) filter (is_{i})" for i in range(len(counted)))
        grouped = f"select {hers} from {definition.source} group by {definition.key}"
        sql = f"select {counts} from ({grouped})"
    members, *found = session.rows(at(sql, as_of))[0]
    return tuple(
        Count(clause.text, passes, without - members, without, clause.why)
        for clause, passes, without in zip(definition.clauses, found[::2], found[1::2], strict=True)
    )


def write_clauses(
    session: Session, definitions: Mapping[str, Definition], as_of: datetime, refresh: bool = False
) -> None:
    """Bring `segments.clauses` up to date with the definitions of segments just evaluated.

    Counts are as of the run that found the definition new or changed, or was to refresh them.
    """
    session.execute(
        f"create table if not exists {_TABLE} (segment varchar, clause integer, sql varchar,"
        " passes bigint, keeps_out bigint, size_without bigint, not_judged_because varchar,"
        " counted_as_of timestamp, definition varchar)"
    )
    known: dict[str, str] = dict(session.rows(f"select distinct segment, definition from {_TABLE}"))
    for segment, definition in definitions.items():
        if known.get(segment) == definition.fingerprint and not refresh:
            continue
        counts = count_clauses(session, definition, as_of)
        rows = ", ".join(
            f"({literal(segment)}, {number}, {literal(c.sql)}, {c.passes}, {c.keeps_out},"
            f" {c.without}, nullif({literal(c.why)}, ''), {timestamp(as_of)},"
            f" {literal(definition.fingerprint)})"
            for number, c in enumerate(counts, 1)
        )
        session.execute(f"delete from {_TABLE} where segment = {literal(segment)}")
        session.execute(f"insert into {_TABLE} values {rows}" if rows else "select 1")
