"""Results of a build in; memberships, user types, reach and the chosen audiences up to date out."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from segflow.audiences import audiences, history, matrix, membership, outcomes, user_types
from segflow.audiences.audiences import Built
from segflow.audiences.decisions import Decided, decide
from segflow.audiences.guards import Change, Trip, Watched
from segflow.audiences.membership import Evaluation, Guarding, Movement
from segflow.build.materializations import comment
from segflow.build.plan import Plan
from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.lineage import Stale, all_of, roots_of
from segflow.compile.relations import interval
from segflow.engines.base import Session
from segflow.errors import StepError
from segflow.journal import Result
from segflow.project.nodes import Audience
from segflow.project.properties import SegmentGuards

_MAIL = "email"


@dataclass
class Updated:
    """What changed. `results` has one entry per audience; `mailable` counts members by segment.

    `stopped` are the segments whose guards hold them where they were, by id, and why; `waiting` is
    how many of the messages decided on wait for an audience that was not built, by its name.
    """

    movements: list[Movement] = field(default_factory=list)
    mailable: dict[str, int] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    decided: Decided | None = None
    waiting: dict[str, int] = field(default_factory=dict)
    audiences: list[Built] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    watched: Watched = field(default_factory=Watched)
    stopped: dict[str, str] = field(default_factory=dict)


def update_audiences(
    session: Session,
    graph: Graph,
    plan: Plan,
    evaluation: Evaluation,
    stale: dict[str, Stale],
    approved: Mapping[str, int],
) -> Updated:
    """Bring everything that is made of evaluated segments up to date.

    Args:
        stale: the columns that are not up to date, by node; segments that guards stop are added.
        approved: how many contacts may move in a segment or audience whose guards say no.
    """
    updated = Updated(watched=Watched(approved))
    contacts = graph.find(CONTACTS)
    relation = graph.relations.get(str(contacts))
    chosen = [a for a in graph.project.audiences if a.name in plan.audiences]
    if relation is None or not session.relation_type(relation.schema, relation.identifier):
        roots = roots_of(stale.get(str(contacts), all_of(str(contacts))))
        updated.results = [_held(audience, roots, graph) for audience in chosen]
        undecided = Decided(0, 0, {}, dict.fromkeys(plan.messages, roots))
        updated.results += _messages(graph, plan, undecided)
        return updated
    graph = _as_it_stands(session, graph)
    types = {name.lower(): kind for name, kind in session.columns(f"select * from {relation}")}
    membership.prepare(session, types["contact_id"])
    _move(session, graph, plan, evaluation, stale, updated)
    _decide(session, graph, plan, evaluation, stale, updated)
    reach, mailed = user_types.write_reach(session, graph), _mailed(graph)
    updated.mailable = {
        s: n for (s, channel), n in reach.items() if channel == _MAIL and s in mailed
    }
    updated.stages = user_types.count_stages(session)
    session.execute(f"create schema if not exists {audiences.SCHEMA}")
    for audience in chosen:
        _audience(session, graph, audience, stale, updated, _undecided(graph, audience, updated))
        if updated.decided and audience.messages and not updated.results[-1].is_good:
            sent = audiences.count_sent(session, audience)
            updated.waiting |= {audience.name: sent} if sent else {}
    return updated


def _move(
    session: Session,
    graph: Graph,
    plan: Plan,
    evaluation: Evaluation,
    stale: dict[str, Stale],
    updated: Updated,
) -> None:
    """Move the members of the segments that were evaluated, as far as their guards let them."""
    evaluated = {
        name: _flapping(segment.config.guards)
        for name, segment in graph.segments.items()
        if name in plan.segments and segment.id not in stale
    }
    removed = membership.gone(session, graph.segments) if plan.is_whole else []
    if plan.is_whole:
        membership.drop_views(session, graph.segments)
    merges, guarding = history.merges_of(session, graph), _guarding(graph, evaluated, updated)
    updated.movements = membership.update(
        session, list(evaluated), removed, evaluation, merges, guarding
    )
    stopped = {node: all_of(node) for node in updated.stopped}
    if stopped:
        waiting = [
            audience
            for audience in graph.project.audiences
            if audience.name in plan.audiences
            and audiences.roots_behind(session, graph, audience, stopped)
            and not audiences.roots_behind(session, graph, audience, stale)
        ]
        with membership.as_if_moved(session, [graph.nodes[n].name for n in stopped], merges):
            updated.watched.trips += _foreseen(session, graph, waiting, updated.watched.approved)
    stale.update(stopped)
    _keep_views(session, graph, plan, evaluation.definitions, stale, updated)


def _decide(
    session: Session,
    graph: Graph,
    plan: Plan,
    evaluation: Evaluation,
    stale: Mapping[str, Stale],
    updated: Updated,
) -> None:
    """Decide on messages where there are any, and say what became of them."""
    merges = history.merges_of(session, graph)
    if plan.messages or (plan.is_whole and session.relation_type("segflow", "exposures")):
        moved = [movement.segment for movement in updated.movements]
        updated.decided = decide(session, graph, evaluation, moved, stale, merges)
        updated.results += _messages(graph, plan, updated.decided)
    user_types.write_user_types(session, graph)
    if updated.decided:
        matrix.write_matrix(session, graph)
        if len(plan.messages) == len(graph.project.messages):
            outcomes.write_outcomes(session, graph, evaluation.as_of, stale, merges)


def _mailed(graph: Graph) -> set[str]:
    """The segments whose members get mail, by an audience or a message."""
    project = graph.project
    found = {n for a in project.audiences if a.channel == _MAIL for n in a.segments}
    return found | {n for m in project.messages if _MAIL in m.channels for n in m.segments}


def _guarding(graph: Graph, evaluated: dict[str, str | None], updated: Updated) -> Guarding:
    """Segments wait where their guards say so, which is noted in `updated`."""

    def waits(change: Change) -> bool:
        segment = graph.segments[change.name]
        why = updated.watched.judge(segment.config.guards, change)
        if why:
            updated.stopped[segment.id] = why
        return bool(why)

    return Guarding(evaluated, waits)


def _keep_views(
    session: Session,
    graph: Graph,
    plan: Plan,
    definitions: Mapping[str, str],
    stale: Mapping[str, Stale],
    updated: Updated,
) -> None:
    """Let the views of segments that are held back show the members that they keep."""
    for name in plan.segments:
        segment = graph.segments[name]
        at = segment.relation
        # One that failed itself still has the view of its last good definition.
        failed = segment.id in roots_of(stale.get(segment.id, {}))
        is_held = segment.id in stale and (segment.id in updated.stopped or not failed)
        if is_held and session.relation_type(at.schema, at.identifier):
            membership.keep_view(session, at, name, definitions[name])
            comment(session, at, "view", segment.model.description, ())


def _foreseen(
    session: Session, graph: Graph, waiting: list[Audience], approved: Mapping[str, int]
) -> list[Trip]:
    """Guards of audiences that will hold once those of the segments they wait for let through."""
    watched = Watched(approved)
    for audience in waiting:
        # What goes wrong with it is said when it is built.
        with suppress(StepError):
            audiences.judge(session, graph, audience, watched)
    return [trip for trip in watched.trips if trip.holds]


def _audience(
    session: Session,
    graph: Graph,
    audience: Audience,
    stale: Mapping[str, Stale],
    updated: Updated,
    waiting: frozenset[str],
) -> None:
    """Build one audience, or hold it back because of what it reads."""
    try:
        roots = audiences.roots_behind(session, graph, audience, stale) | waiting
        if roots:
            updated.results.append(_held(audience, roots, graph))
            return
        built = audiences.build_audience(session, graph, audience, updated.watched)
    except StepError as error:
        updated.results.append(replace(_result(audience), status="error", message=str(error)))
        return
    if built.stopped:
        held = replace(_result(audience), status="held", message=built.stopped)
        updated.results.append(replace(held, because=(audience.id,)))
        return
    updated.audiences.append(built)
    updated.results.append(replace(_result(audience), rows=built.rows))


def _as_it_stands(session: Session, graph: Graph) -> Graph:
    """Without consents that were never built: then nobody has agreed to anything yet."""
    consents = graph.find(CONSENTS)
    relation = graph.relations.get(str(consents))
    if relation is None or session.relation_type(relation.schema, relation.identifier):
        return graph
    return replace(graph, relations={n: r for n, r in graph.relations.items() if n != consents})


def _messages(graph: Graph, plan: Plan, decided: Decided) -> list[Result]:
    """One result per chosen message: decided, failed, or held back because of what it reads."""
    found = []
    for message in graph.project.messages:
        if message.name in plan.messages:
            behind = decided.behind.get(message.name)
            result = Result(message.id, "message", message.name, message.name, "success")
            if message.name in decided.failed:
                why = decided.failed[message.name]
                result = replace(result, status="error", message=why)
            elif behind:
                names = ", ".join(sorted(graph.nodes[root].name for root in behind))
                held = replace(result, status="held", message=f"reads {names}")
                result = replace(held, because=tuple(sorted(behind)))
            found.append(result)
    return found


def _undecided(graph: Graph, audience: Audience, updated: Updated) -> frozenset[str]:
    """What all messages of an audience wait for; nothing where one of them could be decided on."""
    behind = updated.decided.behind if updated.decided else {}
    messages = [n for p in graph.parents[audience.id] if (n := graph.nodes[p]).kind == "message"]
    found = [behind.get(message.name, frozenset()) for message in messages]
    return frozenset[str]().union(*found) if found and all(found) else frozenset()


def _flapping(guards: SegmentGuards) -> str | None:
    """Within what time coming and going is flapping, as SQL; None where it never is."""
    if guards.min_stay is None and guards.max_flapping is None:
        return None
    return interval(guards.min_stay or "1d")


def _result(audience: Audience) -> Result:
    relation = str(audiences.relation_of(audience))
    return Result(audience.id, "audience", audience.name, relation, "success")


def _held(audience: Audience, roots: frozenset[str], graph: Graph) -> Result:
    because = tuple(sorted(roots))
    names = ", ".join(graph.nodes[root].name for root in because)
    return replace(_result(audience), status="held", message=f"reads {names}", because=because)
