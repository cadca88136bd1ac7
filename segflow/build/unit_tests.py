"""A unit test in, nothing out where it passes: the model runs on the rows that the test gives."""

import csv
import io
import re
from datetime import datetime
from typing import Any

from segflow.compile.compiler import render_model, scope_of
from segflow.compile.graph import Graph
from segflow.compile.relations import Relation, at, literal, quoted
from segflow.engines.base import Column, Session
from segflow.errors import ProjectError, StepError, did_you_mean
from segflow.project.nodes import ExpectProperties, GivenProperties, UnitTest

_INPUT = re.compile(
    r"^\s*(ref|source)\(\s*['\"]([^'\"]+)['\"](?:\s*,\s*['\"]([^'\"]+)['\"])?\s*\)\s*$"
)

Rows = list[dict[str, Any]]


def run_unit_test(session: Session, graph: Graph, test: UnitTest, as_of: datetime) -> None:
    """Run a model on given rows and compare what comes out, on the columns that are expected.

    Raises:
        StepError: other rows came out, or the test gives what the model does not take.
    """
    try:
        _run(session, graph, test, as_of)
    except (StepError, ProjectError) as error:
        where = error.location or (test.origin.location() if test.origin else None)
        raise StepError(f"unit test `{test.name}`: {error.message}", where, error.hint) from None


def _run(session: Session, graph: Graph, test: UnitTest, as_of: datetime) -> None:
    model = graph.models[graph.parents[test.id][0]]
    moment = datetime.fromisoformat(test.overrides.as_of) if test.overrides.as_of else as_of
    given: dict[str, Relation] = {}

    def lookup(relation: Relation, spelt: str) -> Relation:
        if str(relation) not in given:
            raise ProjectError(f"the model reads {spelt}, which the test does not give")
        return given[str(relation)]

    def select(incremental: bool) -> str:
        scope = scope_of(
            graph,
            model,
            ref=lambda package, name: lookup(graph.ref(package, name), f"ref('{name}')"),
            source=lambda s, table: lookup(graph.source(s, table), f"source('{s}', '{table}')"),
            this=given.get(str(model.relation), model.relation),
            variables=test.overrides.vars,
            macros={k: v for k, v in test.overrides.macros.items() if k != "is_incremental"},
            is_incremental=incremental,
        )
        return at(render_model(graph, model, scope), moment)

    # The model's own table has the columns of its SELECT, which reads the other inputs.
    for item in sorted(test.given, key=lambda item: item.input.strip() == "this"):
        table = Relation("temp", f"given_{len(given)}", f"temp.main.given_{len(given)}")
        if item.input.strip() == "this":
            relation, columns = model.relation, session.columns(select(incremental=False))
        else:
            relation = _input(graph, item)
            columns = [] if item.format == "sql" else _columns(session, graph, relation)
        _give(session, columns, table, item)
        given[str(relation)] = table
    incremental = bool(test.overrides.macros.get("is_incremental", False))
    session.execute(f"create or replace temp table actual as\n{select(incremental)}")
    _compare(session, test.expect)


def _input(graph: Graph, item: GivenProperties) -> Relation:
    match = _INPUT.match(item.input)
    if not match:
        raise ProjectError(f"`{item.input}` is no input: write ref('…'), source('…', '…') or this")
    call, first, second = match.groups()
    if call == "source":
        return graph.source(first, second or "")
    return graph.ref(first, second) if second else graph.ref(None, first)


def _give(
    session: Session, columns: list[Column], table: Relation, item: GivenProperties
) -> None:
    """Make a table with the columns of the real relation and the rows of the test."""
    if item.format == "sql":
        session.execute(f"create or replace temp table {table.identifier} as\n{item.rows}")
        return
    rows = _rows(item.rows, item.format)
    known = [name for name, _ in columns]
    for row in rows:
        for name in row:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ProjectError(f"{item.input} has no column `{name}`", hint=hint)
    session.execute(f"create or replace temp table {table.identifier} as {_values(rows, columns)}")


def _columns(session: Session, graph: Graph, relation: Relation) -> list[Column]:
    """Names and types of a relation: as it stands, else as its contract says."""
    if relation.text or session.relation_type(relation.schema, relation.identifier):
        return session.columns(f"select * from {relation}")
    for parsed in graph.models.values():
        if parsed.relation == relation and parsed.model.columns:
            return [(c.name, c.data_type or "varchar") for c in parsed.model.columns]
    raise StepError(
        f"the types of {relation} are not known yet",
        hint=f"build it first: segflow build --select {relation.identifier}",
    )


def _rows(rows: Rows | str | None, form: str) -> Rows:
    if rows is None:
        return []
    if form == "csv":
        reader = csv.DictReader(io.StringIO(str(rows).strip()), skipinitialspace=True)
        return [{k: v if v != "" else None for k, v in row.items()} for row in reader]
    return rows if isinstance(rows, list) else []


def _values(rows: Rows, columns: list[Column]) -> str:
    """A SELECT of the rows, each value cast to its column's type; what a row omits is null."""
    casts = ", ".join(f"cast({quoted(n)} as {kind}) as {quoted(n)}" for n, kind in columns)
    names = ", ".join(quoted(name) for name, _ in columns)
    lines = [f"({', '.join(_literal(row.get(name)) for name, _ in columns)})" for row in rows]
    if not lines:
        lines = [f"({', '.join('null' for _ in columns)})"]
    text = ", ".join(lines)
    limit = "" if rows else " limit 0"
    return f"select {casts} from (values {text}) as given ({names}){limit}"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    return literal(str(value))


def _compare(session: Session, expect: ExpectProperties) -> None:
    actual = session.columns("select * from actual")
    if expect.format == "sql":
        session.execute(f"create or replace temp table expected as\n{expect.rows}")
        names = [name for name, _ in session.columns("select * from expected")]
    else:
        rows = _rows(expect.rows, expect.format)
        names = list(dict.fromkeys(name for row in rows for name in row)) or [
            name for name, _ in actual
        ]
        types = dict(actual)
        for name in names:
            if name not in types:
                raise ProjectError(
                    f"it expects a column `{name}`, which the model does not have",
                    hint=did_you_mean(name, types),
                )
        columns = [(name, types[name]) for name in names]
        session.execute(f"create or replace temp table expected as {_values(rows, columns)}")
    listed = ", ".join(quoted(name) for name in names)
    missing = _difference(session, "expected", "actual", listed)
    surplus = _difference(session, "actual", "expected", listed)
    if missing or surplus:
        raise StepError("; ".join([*_lines("missing", missing), *_lines("not expected", surplus)]))


def _difference(session: Session, left: str, right: str, columns: str) -> Rows:
    names, rows = session.query(
        f"select {columns} from {left} except all select {columns} from {right} order by all"
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _lines(heading: str, rows: Rows) -> list[str]:
    """The first few rows, as in `missing: contact_id a, n 3`."""
    if not rows:
        return []
    shown = [", ".join(f"{k} {v}" for k, v in row.items()) for row in rows[:3]]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return [f"{heading}: {' | '.join(shown)}{more}"]
