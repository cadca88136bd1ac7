"""A compiled project in; the columns that say who somebody is out, by their mark or their name."""

from collections.abc import Callable

import msgspec

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.lineage import Stale, stale_columns
from segflow.compile.outlines import Lineage, lowered
from segflow.project.properties import ColumnProperties


def is_any_id(column: str) -> bool:
    return column == "id" or column.endswith("_id")


def private_columns(
    graph: Graph, compilation: Compilation, is_id: Callable[[str], bool] = is_any_id
) -> dict[str, set[str]]:
    """The columns of each model that are marked personal or an id by name, or made of such.

    A mark goes over to whatever reads the column, as what is not up to date does; an id to what is
    made of ids alone: everything that is joined by an id stands on one.
    """
    marked, ids = dict[str, Stale](), set[tuple[str, str]]()
    found: dict[str, set[str]] = {}
    for node in (node for node in graph.order if node in graph.models):
        model, outline = graph.models[node], compilation.models[node].outline
        own = {c.name.lower(): frozenset({node}) for c in model.model.columns if _is_marked(c)}
        marked[node] = {**stale_columns(graph, compilation, node, marked), **own}
        names = {name for name in outline.columns or () if is_id(name)}
        if outline.lineage:
            lineage = msgspec.msgpack.decode(outline.lineage, type=Lineage)
            names |= {
                name
                for name, places in lineage.columns.items()
                if places and ids.issuperset(lineage.origins[place] for place in places)
            }
        table = lowered(f"{model.relation.schema}.{model.relation.identifier}")
        ids |= {(table, name) for name in names}
        found[node] = names | marked[node].keys()
    return found


def _is_marked(column: ColumnProperties) -> bool:
    return bool({"personal", "identifier"} & (column.meta | column.config.meta).keys())
