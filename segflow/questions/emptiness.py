"""Segments without members in; why nobody is in them out, as far as the data can tell."""

from contextlib import suppress
from datetime import datetime

from segflow.compile.definitions import Definition, Definitions
from segflow.compile.graph import Graph
from segflow.compile.outlines import lowered
from segflow.compile.relations import at
from segflow.engines.base import EngineError, Session


def first_empty(graph: Graph, empty: set[str]) -> list[str]:
    """Of models without rows those that are so by themselves, not for want of another's rows."""
    nodes = [node for node in graph.order if node in empty and node in graph.models]
    return [
        graph.nodes[node].name
        for node in nodes
        if not graph.models[node].is_segment and not empty.intersection(graph.parents[node])
    ]


def why_nobody(
    session: Session, graph: Graph, definitions: Definitions, empty: set[str], as_of: datetime
) -> dict[str, str]:
    """For each empty segment which of its clauses nobody passes, and what data that is for want of.

    It says nothing where only several clauses together leave everybody out.
    """
    found = {}
    for name in (n for n, s in graph.segments.items() if s.id in empty):
        definition = definitions.of(name)
        parents = [p for p in graph.tables_of(graph.segments[name].id) if p in graph.relations]
        # What was edited since the run may ask for what is not there yet.
        with suppress(EngineError):
            lacking = [p for p in parents if not _has_rows(session, graph, p)]
            if definition.is_judged:
                reasons = _unpassed(session, graph, definition, lacking, as_of)
            else:
                reasons = _without_rows(graph, lacking) if len(lacking) == len(parents) else []
            found[name] = "; ".join(dict.fromkeys(reasons))
    return found


def _unpassed(
    session: Session, graph: Graph, definition: Definition, lacking: list[str], as_of: datetime
) -> list[str]:
    """What is to be said of the clauses that are true of nobody."""
    operands = {
        operand.text: operand.sql
        for clause in definition.clauses
        for part in clause.walk()
        for operand in (*part.operands, *part.reads)
        if operand.constant is None
    }
    asked = [f"bool_or({c.sql})" for c in definition.clauses]
    asked += [f"count({sql}) > 0" for sql in operands.values()]
    row = session.rows(at(f"select count(*), {', '.join(asked)} from {definition.source}", as_of))
    people, *answers = row[0]
    if not people:
        return _without_rows(graph, lacking)
    has = dict(zip(operands, answers[len(definition.clauses) :], strict=True))
    reasons: list[str] = []
    for clause, passes in zip(definition.clauses, answers, strict=False):
        if passes:
            continue
        tables = {table for part in clause.walk() for table in part.tables}
        absent = [p for p in lacking if lowered(str(graph.relations[p])) in tables]
        used = [o.text for part in clause.walk() for o in (*part.operands, *part.reads)]
        nulls = [text for text in dict.fromkeys(used) if has.get(text) is False]
        if absent:
            reasons += _without_rows(graph, absent)
        elif nulls:
            reasons.append(f"nobody has {', '.join(nulls)}")
        else:
            reasons.append(f"true of nobody: {clause.text}")
    return reasons


def _has_rows(session: Session, graph: Graph, node: str) -> bool:
    return bool(session.rows(f"select 1 from {graph.relations[node]} limit 1"))


def _without_rows(graph: Graph, nodes: list[str]) -> list[str]:
    return [f"{graph.nodes[node].name} has no rows" for node in nodes]
