"""Outlines in; which columns of which nodes stand on what failed or came late, out.

What a node shows of some of its columns follows from the origins of these columns and from those
of its rows. A left join keeps the rows of its left side: what it joins decides only the columns
that are taken from there, and how often rows repeat, which tests of keys guard and aggregates
depend on. Where lineage is not known, all columns stand on all tables that are read.
"""

from collections.abc import Iterable, Mapping

import msgspec

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.outlines import EVERYTHING, REPEATS, Lineage

# Columns of one node that are not up to date, each with the failed nodes at the root of it. ROWS,
# REPEATS and EVERYTHING may be among them.
Stale = Mapping[str, frozenset[str]]

_FRESH: Stale = {}


def impact(graph: Graph, compilation: Compilation, broken: Iterable[str]) -> dict[str, Stale]:
    """What would stand on `broken` nodes if everything else was built on what they have."""
    found: dict[str, Stale] = {node: all_of(node) for node in broken}
    for node in graph.order:
        stale = found.get(node) or stale_columns(graph, compilation, node, found)
        if stale:
            found[node] = stale
    return found


def all_of(*roots: str) -> Stale:
    """A node that stands on `roots` as a whole."""
    return {EVERYTHING: frozenset(roots)}


def stale_columns(
    graph: Graph, compilation: Compilation, node: str, known: Mapping[str, Stale]
) -> Stale:
    """What of a model's SELECT stands on columns of its parents that are not up to date."""
    model = compilation.models.get(node)
    behind = [known[parent] for parent in graph.tables_of(node) if parent in known]
    if model is None or not behind:
        return _FRESH
    if not model.outline.lineage:
        return {EVERYTHING: roots_of(*behind)}
    lineage = msgspec.msgpack.decode(model.outline.lineage, type=Lineage)
    roots = [
        roots_of(known.get(graph.by_table.get(table, ""), _FRESH), column=column)
        for table, column in lineage.origins
    ]
    found = {
        name: frozenset[str]().union(*(roots[place] for place in places))
        for name, places in lineage.columns.items()
    }
    return {name: because for name, because in found.items() if because}


def roots_of(*stale: Stale, column: str = EVERYTHING) -> frozenset[str]:
    """The failed nodes that a column stands on, REPEATS apart unless it is asked for."""
    names = (column, EVERYTHING)
    return frozenset[str]().union(
        *(
            roots
            for one in stale
            for name, roots in one.items()
            if name in names or (column == EVERYTHING and name != REPEATS)
        )
    )
