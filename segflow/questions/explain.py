"""One contact, and a segment perhaps, in; in or out, since when, clause by clause, and why, out."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from segflow import journal
from segflow.audiences.history import merges_of
from segflow.compile.definitions import Definition, Definitions, Derivation
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.outlines import lowered
from segflow.compile.relations import at, literal, quoted
from segflow.engines.base import EngineError, Session
from segflow.errors import ProjectError, WorkspaceError, did_you_mean
from segflow.questions.judging import Judged, compared_columns, failed, is_contact, judge
from segflow.questions.story import Story

_SHOWN = 10
# Segments that one statement asks about at most.
_BATCH = 100


@dataclass(frozen=True)
class Stay:
    """A contact's time in a segment or stage, UTC; `until` is null while it lasts."""

    name: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Standing:
    """When a segment was last evaluated, UTC, and why it is `kept` as it was then, if it is.

    `is_edited` where its definition, or what it reads, says something else now: clauses are always
    those of now.
    """

    as_of: datetime
    kept: str | None
    is_edited: bool


@dataclass(frozen=True)
class Verdict:
    """Whether a contact was in a segment when it was last evaluated, and what its clauses say.

    `agrees` is false where the clauses, read now, say something else than the membership. `merged`
    is the id that was asked for, where that is now this contact.
    """

    contact: str
    segment: str
    is_in: bool
    standing: Standing
    stays: tuple[Stay, ...]
    clauses: tuple[Judged, ...]
    agrees: bool
    merged: str | None = None


@dataclass(frozen=True)
class Card:
    """One contact: how her stage went, her segments, and those that one clause keeps her out of.

    `story` are her messages, None where the project never decided on any. `kept` says
    of segments that stay as they were why they do, `merged` the id that was asked for, where that
    is now this contact.
    """

    contact: str
    as_of: datetime
    stages: tuple[Stay, ...]
    segments: tuple[Stay, ...]
    near: tuple[Verdict, ...]
    kept: dict[str, str]
    story: Story | None = None
    merged: str | None = None


def identifiers(graph: Graph) -> list[str]:
    """Columns of contacts that name one: her id, and those marked `meta: {identifier: true}`."""
    columns = getattr(graph.nodes[str(graph.find(CONTACTS))], "columns", ())
    marked = [c.name for c in columns if {**c.meta, **c.config.meta}.get("identifier") is True]
    return list(dict.fromkeys(["contact_id", *map(lowered, marked)]))


def find_contact(session: Session, graph: Graph, name: str) -> tuple[str, str | None]:
    """The id, as text, of the contact who has `name` as contact_id or another identifier.

    Beside it, None or the id that was merged into hers and that `name` is.

    Raises:
        ProjectError: nobody has it, or several do.
    """
    named = identifiers(graph)
    is_hers = " or ".join(
        f"lower(cast({quoted(column)} as varchar)) = lower({literal(name)})" for column in named
    )
    rows = session.rows(
        f"select cast(contact_id as varchar) from {graph.relations[str(graph.find(CONTACTS))]}"
        f" where {is_hers} order by 1"
    )
    ids = [row[0] for row in rows]
    if name in ids or len(ids) == 1:
        return name if name in ids else str(ids[0]), None
    if ids:
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise ProjectError(
            f"{len(ids)} contacts are called `{name}`: {', '.join(ids[:_SHOWN])}{more}",
            hint="name one by her contact_id",
        )
    merges = merges_of(session, graph)
    merged = merges and session.rows(
        f"select cast(contact_id as varchar) from {merges} as merges"
        f" where cast(merged_contact_id as varchar) = {literal(name)}"
    )
    if merged:
        return str(merged[0][0]), name
    if name in {message.name for message in graph.project.messages}:
        hint = f"segflow explain CONTACT --message {name}"
        raise ProjectError(f"`{name}` is a message, and no contact", hint=hint)
    near = did_you_mean(name, graph.segments)
    raise ProjectError(f"no contact has {' or '.join(named)} `{name}`", hint=near)


def explain_membership(
    session: Session, definitions: Definitions, contact: str, segment: str
) -> Verdict:
    """Why a contact is in a segment, or is not."""
    definition = definitions.of(segment)
    columns = sorted(compared_columns(definition))
    derivations = {column: definitions.behind(column) for column in columns}
    now = standing(session, definitions, segment)
    return _verdict(session, definition, contact, segment, derivations, now)


def explain_contact(session: Session, graph: Graph, definitions: Definitions, contact: str) -> Card:
    """Where a contact stands, and what she nearly is."""
    stays = _stays(session, contact, "true")
    held = {stay.name for stay in stays if stay.until is None}
    evaluated: dict[str, datetime] = dict(
        session.rows("select segment, max(as_of) from segments.evaluations group by segment")
    )
    if not evaluated:
        raise WorkspaceError("no segment was evaluated yet", hint="segflow run")
    last = max(evaluated.values())
    others = (name for name in graph.segments if name in evaluated.keys() - held)
    missed = {name: definitions.of(name) for name in others}
    near = _one_clause_short(session, missed, contact, last)
    verdicts = tuple(
        _verdict(session, missed[name], contact, name, {}, standing(session, definitions, name))
        for name in near
    )
    kept = {name: why for name, why in _kept(session).items() if name in held or name in near}
    return Card(contact, last, _stages(session, graph, contact), stays, verdicts, kept)


def check_segment(graph: Graph, name: str) -> None:
    """Raises ProjectError where there is no segment of that name."""
    if name not in graph.segments:
        hint = did_you_mean(name, graph.segments) or "segflow ls --resource-type segment"
        raise ProjectError(f"unknown segment `{name}`", hint=hint)


# ── facts ─────────────────────────────────────────────────────────────────────────────────────


def standing(session: Session, definitions: Definitions, segment: str) -> Standing:
    """What a segment's members are of.

    Raises:
        WorkspaceError: it was never evaluated.
    """
    rows = session.rows(
        "select as_of, fingerprint from segments.evaluations"
        f" where segment = {literal(segment)} order by as_of desc limit 1"
    )
    if not rows:
        raise WorkspaceError(f"`{segment}` was never evaluated", hint="segflow run")
    as_of, evaluated = rows[0]
    is_edited = evaluated != definitions.fingerprint(segment)
    return Standing(as_of, _kept(session).get(segment), is_edited)


def _kept(session: Session) -> dict[str, str]:
    """Why segments, by name, stayed as they were in the last run that wanted to evaluate them."""
    found = journal.statuses(session).values()
    kept = [s for s in found if s.kind == "segment" and s.state == "kept"]
    return {status.node.rpartition(".")[2]: status.reason for status in kept}


def _stays(session: Session, contact: str, condition: str) -> tuple[Stay, ...]:
    rows = session.rows(
        "select segment, entered_at, left_at from segments.membership_history"
        f" where cast(contact_id as varchar) = {literal(contact)} and {condition}"
        " order by left_at is not null, entered_at desc, segment"
    )
    return tuple(Stay(*row) for row in rows)


def _stages(session: Session, graph: Graph, contact: str) -> tuple[Stay, ...]:
    """The contact's way through the stages, where the project has a model `stage_history`."""
    relation = graph.relations.get(graph.find("stage_history") or "")
    # A model of that name may be another thing in another project.
    with suppress(EngineError):
        rows = session.rows(
            f"select stage, started_at, ended_at from {relation}"
            f" where cast(contact_id as varchar) = {literal(contact)} order by started_at"
        )
        return tuple(Stay(*row) for row in rows)
    return ()


def _verdict(
    session: Session,
    definition: Definition,
    contact: str,
    segment: str,
    derivations: dict[str, Derivation],
    now: Standing,
) -> Verdict:
    stays = _stays(session, contact, f"segment = {literal(segment)}")
    clauses = judge(session, definition, derivations, contact, now.as_of)
    is_in = any(stay.until is None for stay in stays)
    agrees = is_in is all(clause.verdict is True for clause in clauses)
    return Verdict(contact, segment, is_in, now, stays, clauses, agrees)


def _one_clause_short(
    session: Session, definitions: dict[str, Definition], contact: str, as_of: datetime
) -> list[str]:
    """Segments of which the contact fails exactly one clause; one statement for many segments."""
    by_source: dict[str, dict[str, Definition]] = {}
    for name, definition in definitions.items():
        if definition.is_judged and len(definition.clauses) > 1:
            by_source.setdefault(definition.source, {})[name] = definition
    found = []
    for source, group in by_source.items():
        names = list(group)
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            counts = ", ".join(f"min({failed(group[name])})" for name in batch)
            where = is_contact(group[batch[0]].key, contact)
            # What was edited since the run may ask for columns that are not there yet.
            with suppress(EngineError):
                row = session.rows(at(f"select {counts} from {source} where {where}", as_of))[0]
                found += [name for name, failed in zip(batch, row, strict=True) if failed == 1]
    return sorted(found)[:_SHOWN]
