"""Segments and a past moment in; their contacts as they would have been then, put aside, out.

Models that depend on the clock are built once more in scratch, as of that moment and an incremental
one in full. Everything else is read as it was published.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs

from segflow.build.materializations import evaluate, members_table
from segflow.build.steps import rendered
from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.parsing import ParsedModel
from segflow.compile.relations import AS_OF, Relation, quoted
from segflow.engines.base import SCRATCH, Session
from segflow.errors import Location, SegflowError

_MEMORY = SCRATCH.partition(".")[0]


@dataclass(frozen=True)
class Replay:
    """What is built again, by node in order; relations of `graph` lead to scratch for those."""

    graph: Graph
    models: dict[str, ParsedModel]

    def evaluate(self, session: Session, moment: datetime, segments: Collection[str]) -> None:
        """Put the members of segments aside as of a moment.

        Raises:
            StepError: a model fails as of then.
        """
        wanted = {self.graph.segments[name].id for name in segments}
        needed = wanted.union(*(self.graph.ancestors(node) for node in wanted))
        for node, model in self.models.items():
            if node in needed:
                try:
                    self._build(session, moment, model)
                except SegflowError as error:
                    error.location = error.location or Location(model.model.file)
                    error.message = f"as of {moment}: {error.message}"
                    raise

    def _build(self, session: Session, moment: datetime, model: ParsedModel) -> None:
        relation = self.graph.relations[model.id]
        sql = rendered(session, self.graph, model, moment, this=relation, is_incremental=False)
        if model.config.materialized == "ephemeral":
            self.graph.relations[model.id] = structs.replace(relation, text=f"(\n{sql}\n)")
            return
        if model.is_segment:
            evaluate(session, model.model.name, sql)
            sql = f"from {members_table(model.model.name)}"
        if str(relation).startswith("temp."):
            session.execute(f"create or replace temp view {quoted(relation.identifier)} as\n{sql}")
        else:
            session.execute(f"create schema if not exists {_MEMORY}.{quoted(relation.schema)}")
            session.execute(f"create or replace table {relation} as\n{sql}")


def plan_replay(
    graph: Graph,
    compilation: Compilation,
    segments: Collection[str],
    changed: Collection[str] = (),
) -> Replay:
    """What has to be built again for `segments`, which are always taken as the project has them.

    So are the `changed` nodes, which were published otherwise.
    """
    chosen = {graph.segments[name].id for name in segments}
    needed = chosen.union(*(graph.ancestors(node) for node in chosen))
    moving = dict.fromkeys(_moving(graph, compilation, needed, chosen.union(changed)))
    relations = dict(graph.relations)
    for node in moving:
        relations[node] = _in_scratch(graph.models[node], relations.values())
    return Replay(
        replace(graph, relations=relations), {node: graph.models[node] for node in moving}
    )


def _moving(
    graph: Graph, compilation: Compilation, needed: Collection[str], chosen: Collection[str]
) -> Iterator[str]:
    """The models that would have been others at another moment, and `chosen`, in order."""
    found: set[str] = set()
    for node in graph.order:
        model = graph.models.get(node)
        if model is None or node not in needed:
            continue
        if (
            node in chosen
            or AS_OF in compilation.models[node].sql
            or model.facts.asks
            or model.config.materialized == "incremental"
            or found.intersection(graph.parents[node])
        ):
            found.add(node)
            yield node


def _in_scratch(model: ParsedModel, taken: Collection[Relation]) -> Relation:
    """Where a model is built again: under its own name, by which its readers may call it."""
    name = quoted(model.relation.identifier)
    is_view = model.config.materialized in ("view", "segment")
    if is_view and all(relation.text != f"temp.main.{name}" for relation in taken):
        return structs.replace(model.relation, text=f"temp.main.{name}")
    return structs.replace(model.relation, text=f"{_MEMORY}.{quoted(model.relation.schema)}.{name}")
