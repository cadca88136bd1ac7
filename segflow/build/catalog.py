"""A session in, answers to what templates ask of the database out."""

from datetime import datetime

from segflow.compile.compiler import Compilation, render_test
from segflow.compile.graph import Graph
from segflow.compile.relations import Relation, at
from segflow.engines.base import Column, Row, Session
from segflow.project.nodes import DataTest


class SessionCatalog:
    """Answers through the session of the step that asks."""

    def __init__(self, session: Session, as_of: datetime):
        self._session, self._as_of = session, as_of

    def relation_type(self, relation: Relation) -> str | None:
        return self._session.relation_type(relation.schema, relation.identifier)

    def columns(self, relation: Relation) -> list[Column]:
        return self._session.columns(f"select * from {relation}")

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        return self._session.query(at(sql, self._as_of))


def test_sql(
    session: Session, graph: Graph, compilation: Compilation, test: DataTest, as_of: datetime
) -> str:
    """The test's final SELECT; one that asks the database is rendered now."""
    sql = compilation.tests[test.id]
    if test.file and "run_query" in test.text:
        sql = render_test(graph, test, SessionCatalog(session, as_of))
    return at(sql, as_of)
