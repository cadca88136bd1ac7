"""A segment in; what each of its clauses does, what it overlaps with, and who is in it, out."""

from collections.abc import Collection
from dataclasses import dataclass

from segflow.audiences.clauses import Count, count_clauses
from segflow.compile.definitions import Definitions
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import literal, quoted
from segflow.engines.base import Session
from segflow.errors import ProjectError, did_you_mean
from segflow.project.nodes import Persona
from segflow.questions.explain import Standing, identifiers, standing

_SHOWN = 10
# A column with more values than this does not tell kinds of contacts apart.
_KINDS = 50
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Overlap:
    """Another segment: members in both, their share of this and of the other one, and Jaccard's
    index, both over either."""

    segment: str
    both: int
    of_this: float
    of_other: float
    jaccard: float


@dataclass(frozen=True)
class Value:
    """How often a column has a value among members and among everyone, 0 to 1."""

    column: str
    value: str | None
    members: float
    everyone: float


@dataclass(frozen=True)
class Median:
    """The middle of a column among members and among everyone; null where nobody has a value."""

    column: str
    members: float | None
    everyone: float | None


@dataclass(frozen=True)
class Traits:
    """What sets some contacts apart from everyone, the largest differences first."""

    values: tuple[Value, ...]
    medians: tuple[Median, ...]


@dataclass(frozen=True)
class Profile:
    """A segment when it was last evaluated; `clauses` count what its definition says now."""

    segment: str
    description: str
    standing: Standing
    everyone: int
    members: int
    clauses: tuple[Count, ...]
    overlaps: tuple[Overlap, ...]
    values: tuple[Value, ...]
    medians: tuple[Median, ...]
    persona: str | None = None


def persona_of(graph: Graph, name: str) -> Persona:
    """Raises ProjectError where there is no such persona."""
    found = {persona.name: persona for persona in graph.project.personas}
    if name not in found:
        raise ProjectError(f"unknown persona `{name}`", hint=did_you_mean(name, found))
    return found[name]


def explain_segment(
    session: Session, graph: Graph, definitions: Definitions, segment: str
) -> Profile:
    """The funnel, the overlaps and the profile of a segment."""
    now = standing(session, definitions, segment)
    contacts = str(graph.relations[str(graph.find(CONTACTS))])
    found = traits(
        session,
        graph,
        f"select contact_id from segments.memberships where segment = {literal(segment)}",
        identifiers(graph),
    )
    sizes = f"select (select count(*) from {contacts}), (select count(*) from members)"
    everyone, members = session.rows(sizes)[0]
    return Profile(
        segment,
        graph.segments[segment].model.description,
        now,
        everyone,
        members,
        count_clauses(session, definitions.of(segment), now.as_of),
        _overlaps(session, segment),
        found.values,
        found.medians,
    )


def traits(
    session: Session, graph: Graph, members: str, unseen: Collection[str], least: int = 0
) -> Traits:
    """What sets the contacts of a query apart, in all columns of contacts but the `unseen` ones.

    Nothing is told that fewer than `least` of them have.
    """
    session.execute(f"create or replace temp table members as {members}")
    if not session.rows("select 1 from members limit 1"):
        return Traits((), ())
    contacts = str(graph.relations[str(graph.find(CONTACTS))])
    columns = [
        (quoted(name), kind)
        for name, kind in session.columns(f"select * from {contacts}")
        if name.lower() not in unseen
    ]
    texts = [name for name, kind in columns if kind in ("VARCHAR", "BOOLEAN")]
    numbers = [name for name, kind in columns if kind.startswith(_NUMBERS)]
    return Traits(
        _values(session, contacts, texts, least), _medians(session, contacts, numbers, least)
    )


def _overlaps(session: Session, segment: str) -> tuple[Overlap, ...]:
    rows = session.rows(
        "with mine as (select count(*) as size from members), others as ("
        " select segment, count(*) as size, count(members.contact_id) as shared"
        " from segments.memberships left join members using (contact_id)"
        f" where segment != {literal(segment)} group by segment)"
        " select segment, shared, shared / mine.size, shared / others.size,"
        " shared / (mine.size + others.size - shared) from others, mine where shared > 0"
        f" order by 5 desc, 1 limit {_SHOWN}"
    )
    return tuple(Overlap(*row) for row in rows)


def _values(session: Session, contacts: str, texts: list[str], least: int) -> tuple[Value, ...]:
    """Values that are more or less frequent among members, the largest differences first."""
    if not texts:
        return ()
    counts = ", ".join(f"approx_count_distinct({column})" for column in texts)
    distinct = session.rows(f"select {counts} from {contacts}")[0]
    chosen = [c for c, count in zip(texts, distinct, strict=True) if 1 < count <= _KINDS]
    parts = [
        f"select {literal(column.strip(chr(34)))} as name, cast({column} as varchar) as value,"
        " count(*) as everyone, count(members.contact_id) as members"
        f" from {contacts} as contacts left join members using (contact_id) group by value"
        for column in chosen
    ]
    if not parts:
        return ()
    rows = session.rows(
        "select name, value, members / sum(members) over (partition by name) as inside,"
        " everyone / sum(everyone) over (partition by name) as outside"
        f" from ({' union all '.join(parts)})"
        f" qualify abs(inside - outside) >= 0.01 and members >= {least}"
        f" order by abs(inside - outside) desc, name, value limit {_SHOWN}"
    )
    return tuple(Value(*row) for row in rows)


def _medians(session: Session, contacts: str, columns: list[str], least: int) -> tuple[Median, ...]:
    """Numbers whose medians differ, by how much of the spread between quartiles, largest first."""
    parts = [
        f"select {literal(column.strip(chr(34)))} as name,"
        f" cast(median({column}) filter (members.contact_id is not null) as double) as inside,"
        f" cast(median({column}) as double) as outside,"
        f" cast(quantile_cont({column}, 0.75) - quantile_cont({column}, 0.25) as double) as spread"
        f" from {contacts} as contacts left join members using (contact_id)"
        f" having count({column}) filter (members.contact_id is not null) >= {least}"
        for column in columns
    ]
    if not parts:
        return ()
    rows = session.rows(
        f"select name, inside, outside from ({' union all '.join(parts)})"
        " where inside is distinct from outside"
        " order by abs(inside - outside) / greatest(spread, 1e-9) desc nulls last, name"
        f" limit {_SHOWN}"
    )
    return tuple(Median(*row) for row in rows)
