"""Definitions in; how many contacts each of their clauses lets through out, and a table of it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from segflow.compile.definitions import Definition
from segflow.compile.relations import at, literal, timestamp
from segflow.engines.base import EngineError, Session


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
    counted = [" and ".join(conditions) or "true"]
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
    session: Session, definitions: Mapping[str, Definition], as_of: datetime, refresh: bool
) -> None:
    """Bring `segments.clauses` up to date with the definitions of segments just evaluated.

    Counts are of the run that found a definition new or changed. The first run of a database
    counts nothing unless it is to `refresh`: every segment is new to it.
    """
    is_first = session.relation_type("segments", "clauses") is None
    session.execute(
        "create table if not exists segments.clauses (segment varchar, clause integer, sql varchar,"
        " passes bigint, keeps_out bigint, size_without bigint, counted_as_of timestamp,"
        " not_judged_because varchar, definition varchar)"
    )
    known: dict[str, str] = dict(
        session.rows("select distinct segment, definition from segments.clauses")
    )
    for segment, definition in definitions.items():
        if known.get(segment) == definition.fingerprint and not refresh:
            continue
        counted = {}
        # What fails on rows that other clauses keep out has no count of its own.
        with suppress(EngineError):
            if refresh or not is_first:
                counted = dict(enumerate(count_clauses(session, definition, as_of)))
        rows = ", ".join(
            f"({literal(segment)}, {index + 1}, {literal(clause.text)}, {_counts(counted, index)},"
            f" {timestamp(as_of) if counted else 'null'}, nullif({literal(clause.why)}, ''),"
            f" {literal(definition.fingerprint)})"
            for index, clause in enumerate(definition.clauses)
        )
        session.execute(f"delete from segments.clauses where segment = {literal(segment)}")
        if rows:
            session.execute(f"insert into segments.clauses values {rows}")


def _counts(counted: Mapping[int, Count], index: int) -> str:
    count = counted.get(index)
    return f"{count.passes}, {count.keeps_out}, {count.without}" if count else "null, null, null"
