"""Segments without members in; why nobody is in them out, as far as the data can tell."""

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.relations import quoted
from segflow.engines.base import Session


def first_empty(graph: Graph, empty: set[str]) -> list[str]:
    """Of models without rows those that are so by themselves, not for want of another's rows."""
    nodes = [node for node in graph.order if node in empty and node in graph.models]
    return [
        graph.nodes[node].name
        for node in nodes
        if not graph.models[node].is_segment and not empty.intersection(graph.parents[node])
    ]


def why_nobody(
    session: Session, graph: Graph, compilation: Compilation, empty: set[str]
) -> dict[str, str]:
    """For each empty segment what it reads that has no rows, or asks about that nobody has.

    A column counts as had by nobody where it is null in every row of the table.
    """
    found: dict[str, str] = {}
    asked: dict[tuple[str, frozenset[str]], str] = {}
    for name, node in ((n, s.id) for n, s in graph.segments.items() if s.id in empty):
        conditions = compilation.models[node].outline.conditions
        reasons = []
        for parent in graph.parents[node]:
            key = (parent, conditions)
            if key not in asked:
                asked[key] = _missing(session, graph, parent, conditions)
            reasons += [asked[key]] if asked[key] else []
        found[name] = "; ".join(reasons)
    return found


def _missing(session: Session, graph: Graph, node: str, conditions: frozenset[str]) -> str:
    """What of a node's data is not there, in words; empty where nothing is missing."""
    name, relation = graph.nodes[node].name, graph.relations[node]
    if not session.rows(f"select 1 from {relation} limit 1"):
        return f"{name} has no rows"
    columns = [
        c for c, _ in session.columns(f"select * from {relation}") if c.lower() in conditions
    ]
    if not columns:
        return ""
    counts = ", ".join(f"count({quoted(column)})" for column in columns)
    had = session.rows(f"select {counts} from {relation}")[0]
    nobody = [column for column, count in zip(columns, had, strict=True) if count == 0]
    return f"nobody has {', '.join(nobody)}" if nobody else ""
