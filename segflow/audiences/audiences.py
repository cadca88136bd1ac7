"""Memberships and permissions in, one table per audience out: just what a destination should hold.

Why a contact is not in it is counted, never listed: `excluded`, `unknown_contact` (a member that
`contacts` does not have), the reasons of `permission`, `no_key`, and `same_key` where several
contacts share one key and only the first by contact_id stands for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from segflow.audiences.guards import Change, Watched
from segflow.audiences.history import listed
from segflow.audiences.permission import ADDRESS, HELD, OWED, permission_sql, suppressing
from segflow.compile.checks import payload_columns
from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.lineage import Stale, roots_of
from segflow.compile.outlines import ROWS
from segflow.compile.relations import Relation, literal, quoted
from segflow.engines.base import SCRATCH, Session
from segflow.errors import StepError
from segflow.project.nodes import Audience

SCHEMA = "audiences"
_MESSAGES = "messages"

# Columns of candidates beside the audience's own; names that no tool has by chance.
_CONTACT, _KEY, _PLACE = '"its contact"', '"its key"', '"its place"'

# Tables with the names of their columns in lower case, by alias.
Tables = dict[str, tuple[str, set[str]]]


@dataclass(frozen=True)
class Built:
    """An audience as it stands: its rows, its candidates, and why the rest of them is not in it.

    Where a guard `stopped` it, the table is still the one before. `of_messages`: its candidates are
    those who have a message live.
    """

    audience: str
    rows: int
    candidates: int
    held: dict[str, int] = field(default_factory=dict)
    stopped: str = ""
    of_messages: bool = False


def relation_of(audience: Audience) -> Relation:
    return Relation(SCHEMA, audience.name)


def roots_behind(
    session: Session, graph: Graph, audience: Audience, stale: Mapping[str, Stale]
) -> frozenset[str]:
    """The failed nodes on whose account an audience is held back: it reads columns from there.

    User types are sent even where a segment is held back: its last membership stands in them; live
    messages, too, since what could not be decided stays as it was.
    """
    channel = next(c for c in graph.project.channels if c.name == audience.channel)
    purpose = next(p for p in graph.project.purposes if p.name == audience.purpose)
    contacts = str(graph.find(CONTACTS))
    asks = audience.segments and not purpose.is_contract
    read = [str(graph.find(CONSENTS))] if asks else []
    if audience.segments:
        suppress = suppressing(channel, purpose, audience.goal)
        names = (*audience.segments, *audience.exclude, *suppress)
        read += [graph.segments[name].id for name in names]
    roots = roots_of(*(stale[node] for node in read if node in stale))
    if roots or contacts not in stale:
        return roots
    tables = _tables(session, graph, audience)
    evidence = {name for alias, (_, names) in tables.items() if alias != CONTACTS for name in names}
    asked = {column.lower() for _, column in audience.fields} - evidence
    own = ("contact_id", audience.key, channel.address, channel.reachable or ROWS)
    asked |= {column.lower() for column in own} | ({"stage"} if audience.user_types else set())
    return frozenset[str]().union(
        *(roots_of(stale[contacts], column=column) for column in (ROWS, *asked))
    )


def build_audience(session: Session, graph: Graph, audience: Audience, watched: Watched) -> Built:
    """Replace the audience's table, unless its guards stop that.

    Raises:
        StepError: a column it asks for is nowhere, or the engine refuses.
    """
    key, columns = key_and_columns(audience)
    scratch, stopped = judge(session, graph, audience, watched)
    if stopped:
        return Built(audience.name, 0, 0, stopped=stopped)
    listed = ", ".join(quoted(name) for name in columns)
    with session.transaction():
        session.execute(
            f"create or replace table {relation_of(audience)} as"
            f" select {listed} from {scratch} where {HELD} is null order by {quoted(key)}"
        )
        if audience.description:
            text = literal(audience.description)
            session.execute(f"comment on table {relation_of(audience)} is {text}")
    counts = session.rows(f"select {HELD}, count(*) from {scratch} group by all order by all")
    session.execute(f"drop table {scratch}")
    held = {reason: count for reason, count in counts if reason is not None}
    rows = sum(count for reason, count in counts if reason is None)
    candidates = rows + sum(held.values())
    return Built(audience.name, rows, candidates, held, of_messages=bool(audience.messages))


def judge(
    session: Session, graph: Graph, audience: Audience, watched: Watched
) -> tuple[str, str | None]:
    """Put the audience's candidates into a table in scratch; its name, and why guards say no."""
    scratch = f'{SCRATCH}."audience {audience.name}"'
    session.execute(f"create or replace table {scratch} as {_candidates(session, graph, audience)}")
    key, _ = key_and_columns(audience)
    return scratch, watched.judge(audience.guards, _change(session, audience, scratch, key))


def _change(session: Session, audience: Audience, scratch: str, key: str) -> Change:
    """What the audience's table would become; one that has another key now begins anew."""
    name, before = quoted(key), f"select cast(null as varchar) as {quoted(key)} limit 0"
    if session.relation_type(SCHEMA, audience.name):
        query = f"select * from {relation_of(audience)}"
        if key.lower() in {column.lower() for column, _ in session.columns(query)}:
            before = f"select {name} from {relation_of(audience)}"
    old, new, both = session.rows(
        f"with old as ({before}), new as (select {name} from {scratch} where {HELD} is null)"
        " select (select count(*) from old), (select count(*) from new),"
        f" (select count(*) from new semi join old using ({name}))"
    )[0]
    return Change(audience.name, old, new, new - both, old - both)


def key_and_columns(audience: Audience) -> tuple[str, list[str]]:
    """The name of the key in the audience's table, and all its columns in order, the key first.

    The key goes by the tool's own name for it where a field holds it, else by its column's name.
    """
    own = next((name for name, column in audience.fields if column == audience.key), audience.key)
    others = [name for name, _ in audience.fields if name != own]
    return own, [own, *others]


def _candidates(session: Session, graph: Graph, audience: Audience) -> str:
    """A SELECT with one row per candidate: the audience's columns, and HELD with the reason."""
    channel = next(c for c in graph.project.channels if c.name == audience.channel)
    purpose = next(p for p in graph.project.purposes if p.name == audience.purpose)
    if audience.messages:
        # Messages were decided on with all that their own purposes ask.
        purpose = OWED
    tables = _tables(session, graph, audience)
    key, names = key_and_columns(audience)
    sources = {**dict(audience.fields), key: audience.key}
    own = {audience.key.lower(), channel.address.lower()}
    values = {name: _value(sources[name], tables, sources[name].lower() in own) for name in names}
    joins = "".join(
        f" left join {table} as {alias} on members.contact_id = {alias}.contact_id"
        for alias, (table, _) in tables.items()
        if alias != CONTACTS
    )
    selected = ", ".join(f"{value} as {quoted(name)}" for name, value in values.items())
    # One person with several contacts gets one message: an address counts however it is spelt.
    same = f"contacts.{ADDRESS}" if audience.key == channel.address else values[key]
    order = ", ".join((_CONTACT, *map(quoted, names)))
    return (
        f"with candidates as (select members.contact_id as {_CONTACT}, {same} as {_KEY},"
        f" {_reason(audience, values[key])} as {HELD}, {selected}"
        f" from ({_members(audience)}) as members"
        f" left join ({permission_sql(graph, channel, purpose, audience.goal)}) as contacts"
        f" on members.contact_id = contacts.contact_id{joins}{_exclusion(audience)}),"
        f" shared as (select {_KEY} from candidates where {HELD} is null"
        f" group by {_KEY} having count(*) > 1),"
        " ranked as (select *,"
        f" row_number() over (partition by {_KEY} order by {order}) as {_PLACE}"
        f" from candidates where {HELD} is null and {_KEY} in (from shared))"
        f" select * exclude ({_CONTACT}, {_KEY}) from candidates"
        f" where {HELD} is not null or {_KEY} not in (from shared)"
        f" union all select * exclude ({_CONTACT}, {_KEY}, {_PLACE})"
        f" replace (case when {_PLACE} > 1 then 'same_key' end as {HELD}) from ranked"
    )


def _reason(audience: Audience, key: str) -> str:
    """Why a candidate is not in the audience; null where it is."""
    excluded = "when excluded.contact_id is not null then 'excluded'" if audience.exclude else ""
    return (
        f"case {excluded} when contacts.contact_id is null then 'unknown_contact'"
        f" when contacts.{HELD} is not null then contacts.{HELD}"
        f" when coalesce(trim(cast({key} as varchar)), '') = '' then 'no_key' end"
    )


def _members(audience: Audience) -> str:
    if audience.user_types:
        return "select contact_id from segments.user_types"
    if audience.messages:
        return f"select contact_id from {_live(audience)}"
    names = ", ".join(literal(name) for name in audience.segments)
    return f"select distinct contact_id from segments.memberships where segment in ({names})"


def _live(audience: Audience) -> str:
    """The live messages of an audience's channel, of those that it asks for."""
    return f"(select * from segments.next_message where {_asked(audience)})"


def _asked(audience: Audience) -> str:
    chosen = "" if audience.messages == "all" else f" and message in ({listed(audience.messages)})"
    return f"channel = {literal(audience.channel)}{chosen}"


def count_sent(session: Session, audience: Audience) -> int:
    """How many of an audience's messages the latest run decided to send."""
    sent = f"from segments.decisions where action = 'send' and {_asked(audience)}"
    count: int = session.rows(f"select count(*) {sent}")[0][0]
    return count


def _exclusion(audience: Audience) -> str:
    """Joins the contacts of the segments that are left out."""
    if not audience.exclude:
        return ""
    names = ", ".join(literal(name) for name in audience.exclude)
    return (
        " left join (select distinct contact_id from segments.memberships"
        f" where segment in ({names})) as excluded on members.contact_id = excluded.contact_id"
    )


def _tables(session: Session, graph: Graph, audience: Audience) -> Tables:
    """Where columns may come from: the evidence of the audience's segments, then its contacts."""
    found = {
        quoted(f"evidence of {name}"): str(graph.segments[name].relation)
        for name in audience.segments
    }
    if audience.user_types:
        found["user_types"] = "segments.user_types"
    if audience.messages:
        found[_MESSAGES] = _live(audience)
    found[CONTACTS] = str(graph.relations[str(graph.find(CONTACTS))])
    tables = {
        alias: (table, {name.lower() for name, _ in session.columns(f"select * from {table}")})
        for alias, table in found.items()
    }
    if audience.messages:
        tables[_MESSAGES][1].update(payload_columns(graph, audience))
    return tables


def _value(column: str, tables: Tables, is_own: bool) -> str:
    """A column of the evidence, else of contacts; what `is_own` of a contact is never evidence."""
    found = [alias for alias, (_, names) in tables.items() if column.lower() in names]
    if not found:
        raise StepError(f"neither its segments nor its contacts have a column `{column}`")
    evidence = [alias for alias in found if alias != CONTACTS]
    chosen = [CONTACTS] if is_own and CONTACTS in found else evidence or found
    name = quoted(column)
    if column.lower().startswith("payload.") and chosen == [_MESSAGES]:
        name = f"payload[{literal(column[len('payload.') :])}]"
    values = ", ".join(f"{alias}.{name}" for alias in chosen)
    return f"coalesce({values})" if len(chosen) > 1 else values
