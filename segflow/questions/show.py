"""A model's name, or a query in Jinja, in; the first rows out."""

from datetime import datetime
from pathlib import Path

from segflow.compile.graph import Graph
from segflow.compile.names import Scope
from segflow.compile.relations import Relation, at
from segflow.engines.base import Row, Session
from segflow.errors import ProjectError

Table = tuple[list[str], list[Row]]


def show_node(session: Session, graph: Graph, node: str, limit: int) -> Table:
    """Rows of a relation as it was last published."""
    if node not in graph.relations:
        raise ProjectError(f"`{graph.nodes[node].name}` has no rows to show")
    return session.query(f"select * from {graph.relations[node]} limit {limit}")


def show_query(session: Session, graph: Graph, text: str, as_of: datetime, limit: int) -> Table:
    """Rows of a query that may use Jinja."""
    this = Relation("main", "inline")
    scope = Scope(text, Path("--inline"), graph.ref, graph.source, this, "inline")
    sql = at(graph.parser.sql(scope), as_of)
    return session.query(f"select * from (\n{sql}\n) limit {limit}")
