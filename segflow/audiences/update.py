"""Results of a build in; memberships, user types, reach and the chosen audiences up to date out."""

from dataclasses import dataclass, field, replace

from segflow.audiences import audiences, history, membership, user_types
from segflow.audiences.audiences import Built
from segflow.audiences.membership import Evaluation, Movement
from segflow.build.plan import Plan
from segflow.build.runner import Result
from segflow.compile.graph import CONTACTS, Graph
from segflow.engines.base import Session
from segflow.errors import StepError
from segflow.project.nodes import Audience

_MAIL = "email"


@dataclass
class Updated:
    """What changed. `results` has one entry per audience; `mailable` counts members by segment."""

    movements: list[Movement] = field(default_factory=list)
    mailable: dict[str, int] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    audiences: list[Built] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


def update_audiences(
    session: Session,
    graph: Graph,
    plan: Plan,
    evaluation: Evaluation,
    standing: dict[str, tuple[str, ...]],
) -> Updated:
    """Bring everything that is made of evaluated segments up to date.

    Args:
        standing: nodes that are not up to date, each with the failed nodes at the root of it.
    """
    updated = Updated()
    contacts = graph.find(CONTACTS)
    relation = graph.relations.get(str(contacts))
    chosen = [a for a in graph.project.audiences if a.name in plan.audiences]
    if relation is None or not session.relation_type(relation.schema, relation.identifier):
        roots = standing.get(str(contacts), (str(contacts),))
        updated.results = [_held(audience, roots, graph) for audience in chosen]
        return updated
    types = {name.lower(): kind for name, kind in session.columns(f"select * from {relation}")}
    membership.prepare(session, types["contact_id"])
    evaluated = [name for name in plan.segments if graph.segments[name].id not in standing]
    removed = membership.gone(session, graph.segments) if plan.is_whole else []
    if plan.is_whole:
        membership.drop_views(session, graph.segments)
    merges = history.merges_of(session, graph)
    updated.movements = membership.update(session, evaluated, removed, evaluation, merges)
    user_types.write_user_types(session, graph)
    reach = user_types.write_reach(session, graph)
    mailed = {n for a in graph.project.audiences if a.channel == _MAIL for n in a.segments}
    updated.mailable = {
        s: n for (s, channel), n in reach.items() if channel == _MAIL and s in mailed
    }
    updated.stages = user_types.count_stages(session)
    session.execute(f"create schema if not exists {audiences.SCHEMA}")
    for audience in chosen:
        _audience(session, graph, audience, standing, updated)
    return updated


def _audience(
    session: Session,
    graph: Graph,
    audience: Audience,
    standing: dict[str, tuple[str, ...]],
    updated: Updated,
) -> None:
    """Build one audience, or hold it back because of what it reads."""
    roots: dict[str, None] = {}
    for parent in audiences.parents(graph, audience):
        roots.update(dict.fromkeys(standing.get(parent, ())))
    if roots:
        updated.results.append(_held(audience, tuple(roots), graph))
        return
    try:
        built = audiences.build_audience(session, graph, audience)
    except StepError as error:
        updated.results.append(replace(_result(audience), status="error", message=str(error)))
        return
    updated.audiences.append(built)
    updated.results.append(replace(_result(audience), rows=built.rows))


def _result(audience: Audience) -> Result:
    relation = str(audiences.relation_of(audience))
    return Result(audience.id, "audience", audience.name, relation, "success")


def _held(audience: Audience, roots: tuple[str, ...], graph: Graph) -> Result:
    names = ", ".join(graph.nodes[root].name for root in roots)
    return replace(_result(audience), status="held", message=f"reads {names}", because=roots)
