"""A moment in the past in; the membership of segments written anew from then on out."""

from collections.abc import Collection
from dataclasses import replace

from segflow.audiences import history, membership
from segflow.audiences.membership import Evaluation, Movement
from segflow.audiences.user_types import write_reach
from segflow.build.replay import plan_replay
from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.engines.base import Session


def backfill(
    session: Session,
    graph: Graph,
    compilation: Compilation,
    segments: Collection[str],
    evaluation: Evaluation,
) -> list[Movement]:
    """Forget the history of `segments` from a moment on, and evaluate each of them again then and
    at every later moment that it had been evaluated at, by today's definitions.

    Returns:
        Of each segment the members at the end, and all who entered and left on the way.

    Raises:
        StepError: a segment, or a model that it reads, fails as of one of the moments.
    """
    moments = {evaluation.as_of: tuple(segments)}
    moments |= history.rewind(session, segments, evaluation.as_of)
    replay = plan_replay(graph, compilation, segments)
    merges = history.merges_of(session, graph)
    moved: dict[str, Movement] = {}
    for moment, names in moments.items():
        replay.evaluate(session, moment, names)
        then = replace(evaluation, as_of=moment)
        for move in membership.update(session, list(names), [], then, merges):
            before = moved.get(move.segment, Movement(move.segment, 0, 0, 0))
            entered, left = move.entered + before.entered, move.left + before.left
            moved[move.segment] = replace(move, entered=entered, left=left)
    write_reach(session, graph)
    return list(moved.values())
