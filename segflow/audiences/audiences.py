"""Memberships and permissions in, one table per audience out: exactly what a destination should hold.

Why a contact is not in it is counted, never listed: `excluded`, the reasons of `permission`,
`unknown_contact` (a member that `contacts` does not have), `no_key`, and `same_key` where several
contacts share one key and only the first by contact_id stands for it.
"""

from dataclasses import dataclass, field

from segflow.audiences.permission import permission_sql
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import Relation, literal, quoted
from segflow.engines.base import SCRATCH, Column, Session
from segflow.errors import StepError
from segflow.project.nodes import Audience

SCHEMA = "audiences"


@dataclass(frozen=True)
class Built:
    """An audience as it stands: its rows, how many candidates it had, and why the rest is not in it."""

    audience: str
    rows: int
    candidates: int
    held: dict[str, int] = field(default_factory=dict)


def relation_of(audience: Audience) -> Relation:
    return Relation(SCHEMA, audience.name)


def parents(graph: Graph, audience: Audience) -> list[str]:
    """The nodes on whose account an audience is held back.

    User types are sent even where a segment is held back: its last membership stands in them.
    """
    channel = next(c for c in graph.project.channels if c.name == audience.channel)
    found = [*graph.parents[audience.id], *graph.parents[channel.id]]
    segments = {segment.id for segment in graph.segments.values()}
    if audience.user_types:
        found = [node for node in found if node not in segments]
    return list(dict.fromkeys(found))


def build_audience(session: Session, graph: Graph, audience: Audience) -> Built:
    """Replace the audience's table.

    Raises:
        StepError: a column it asks for is nowhere, or the engine refuses.
    """
    scratch = f'{SCRATCH}."audience {audience.name}"'
    session.execute(f"create or replace table {scratch} as {_candidates(session, graph, audience)}")
    key, columns = key_and_columns(audience)
    listed = ", ".join(quoted(name) for name in columns)
    with session.transaction():
        session.execute(
            f"create or replace table {relation_of(audience)} as"
            f" select {listed} from {scratch} where held is null order by {quoted(key)}"
        )
        if audience.description:
            text = literal(audience.description)
            session.execute(f"comment on table {relation_of(audience)} is {text}")
    counts = session.rows(f"select held, count(*) from {scratch} group by held order by held")
    session.execute(f"drop table {scratch}")
    held = {reason: count for reason, count in counts if reason is not None}
    rows = sum(count for reason, count in counts if reason is None)
    return Built(audience.name, rows, rows + sum(held.values()), held)


def key_and_columns(audience: Audience) -> tuple[str, list[str]]:
    """The name of the key in the audience's table, and all its columns in order, the key first.

    The key goes by the tool's own name for it where a field holds it, else by its column's name.
    """
    own = next((name for name, column in audience.fields if column == audience.key), audience.key)
    others = [name for name, _ in audience.fields if name != own]
    return own, [own, *others]


def _candidates(session: Session, graph: Graph, audience: Audience) -> str:
    """A SELECT with one row per candidate: the audience's columns, and `held` with the reason."""
    channel = next(c for c in graph.project.channels if c.name == audience.channel)
    purpose = next(p for p in graph.project.purposes if p.name == audience.purpose)
    contacts = graph.relations[str(graph.find(CONTACTS))]
    tables: dict[str, tuple[str, list[Column]]] = {}
    for name in audience.segments:
        view = f"segments.{quoted(name)}"
        tables[quoted(f"evidence of {name}")] = (view, session.columns(f"select * from {view}"))
    if audience.user_types:
        types = "segments.user_types"
        tables["user_types"] = (types, session.columns(f"select * from {types}"))
    tables["contacts"] = (str(contacts), session.columns(f"select * from {contacts}"))
    key, names = key_and_columns(audience)
    sources = {**dict(audience.fields), key: audience.key}
    values = {name: _value(audience, sources[name], tables) for name in names}
    joins = "".join(
        f" left join {relation} as {alias} on members.contact_id = {alias}.contact_id"
        for alias, (relation, _) in tables.items()
    )
    if audience.exclude:
        excluded = ", ".join(literal(name) for name in audience.exclude)
        joins += (
            " left join (select distinct contact_id from segments.memberships"
            f" where segment in ({excluded})) as excluded"
            " on members.contact_id = excluded.contact_id"
        )
    is_excluded = "excluded.contact_id is not null" if audience.exclude else "false"
    held = (
        f"case when {is_excluded} then 'excluded'"
        " when contacts.contact_id is null then 'unknown_contact'"
        f" when allowed.held is not null then allowed.held when {values[key]} is null then 'no_key' end"
    )
    selected = ", ".join(f"{value} as {quoted(name)}" for name, value in values.items())
    return (
        f"with candidates as (select members.contact_id as candidate, {held} as reason, {selected}"
        f" from ({_members(audience)}) as members{joins}"
        f" left join ({permission_sql(graph, channel, purpose)}) as allowed"
        " on members.contact_id = allowed.contact_id)"
        " select * exclude (candidate, reason), coalesce(reason, case when row_number() over"
        f" (partition by reason is null, {quoted(key)} order by candidate) > 1 then 'same_key' end)"
        " as held from candidates"
    )


def _members(audience: Audience) -> str:
    if audience.user_types:
        return "select contact_id from segments.user_types"
    names = ", ".join(literal(name) for name in audience.segments)
    return f"select distinct contact_id from segments.memberships where segment in ({names})"


def _value(audience: Audience, column: str, tables: dict[str, tuple[str, list[Column]]]) -> str:
    """Where a column comes from: the evidence of the audience's segments, else its contacts."""
    found = [
        f"{alias}.{quoted(column)}"
        for alias, (_, columns) in tables.items()
        if column.lower() in (name.lower() for name, _ in columns)
    ]
    if not found:
        raise StepError(f"neither its segments nor its contacts have a column `{column}`")
    evidence = [value for value in found if not value.startswith("contacts.")]
    return f"coalesce({', '.join(evidence)})" if len(evidence) > 1 else (evidence or found)[0]
