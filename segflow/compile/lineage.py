"""Outlines in; which columns of which nodes stand on what failed or came late, out.

What a node shows of some of its columns follows from the origins of these columns and from those
of its rows. A left join keeps the rows of its left side: what it joins decides only the columns
that are taken from there, and how often rows repeat: aggregates depend on that, up to the next
model whose key is tested. Where lineage is not known, all columns stand on all that is read.
"""

from collections.abc import Mapping

import msgspec

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.outlines import EVERYTHING, REPEATS, ROWS, Lineage

# Columns of one node that are not up to date, each with the failed nodes at the root of it. ROWS,
# REPEATS and EVERYTHING may be among them.
Stale = Mapping[str, frozenset[str]]

_FRESH: Stale = {}


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
    parents = graph.tables_of(node)
    files = [known[p] for p in parents if p in known and graph.relations[p].text is not None]
    roots = []
    for table, column in lineage.origins:
        parent = graph.by_table.get(table)
        stale = [known.get(parent, _FRESH)] if parent else files
        roots.append(roots_of(*stale, column=column))
    found = {
        name: frozenset[str]().union(*(roots[place] for place in places))
        for name, places in lineage.columns.items()
    }
    if node in graph.keyed:
        del found[REPEATS]
    return {name: because for name, because in found.items() if because}


def told(graph: Graph, stale: Stale) -> str:
    """What is not up to date, in a few words; nothing where it is only how often rows repeat."""
    roots = roots_of(stale)
    names = ", ".join(sorted(graph.nodes[root].name for root in roots))
    columns = sorted(stale.keys() - {REPEATS})
    if not roots or columns[0] in (EVERYTHING, ROWS):
        return f"stands on what was kept of {names}" if roots else ""
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return f"{', '.join(columns[:5])}{more} from what was kept of {names}"


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
