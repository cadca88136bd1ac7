"""A unit test in, its result out: the model runs on the rows that the test gives."""

import contextlib
import csv
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

from segflow.compile.compiler import scope_of
from segflow.compile.graph import Graph, reference
from segflow.compile.relations import Relation, at, literal, quoted
from segflow.engines.base import Column, EngineError, Session
from segflow.errors import ProjectError, SegflowError, StepError, did_you_mean
from segflow.journal import TestResult
from segflow.project.config import moment
from segflow.project.load import place
from segflow.project.nodes import UnitTest
from segflow.project.properties import ExpectProperties, GivenProperties

Rows = list[dict[str, Any]]


# Names and types of a relation as it stands; raises EngineError where there is none.
Describe = Callable[[Relation], list[Column]]


def unit_test_result(
    session: Session, graph: Graph, test: UnitTest, as_of: datetime, describe: Describe
) -> TestResult:
    """Run a model on given rows and compare what comes out, on the columns that are expected.

    Other rows, or a test that gives what the model does not take, make it an `error`.
    """
    try:
        _run(session, graph, test, as_of, describe)
    except SegflowError as error:
        where = error.location or place(test, "")
        message = StepError(f"unit test `{test.name}`: {error.message}", where, error.hint)
        return TestResult(test.id, test.name, "error", 0, str(message))
    return TestResult(test.id, test.name, "pass", 0)


def _run(
    session: Session, graph: Graph, test: UnitTest, as_of: datetime, describe: Describe
) -> None:
    model = graph.models[graph.parents[test.id][0]]
    now = moment(test.overrides.as_of) if test.overrides.as_of else as_of
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
        return at(graph.parser.sql(scope), now)

    # The model's own table has the columns of its SELECT, which reads the other inputs.
    for item in sorted(test.given, key=lambda item: item.input.strip() == "this"):
        table = Relation("temp", f"given_{len(given)}", f"temp.main.given_{len(given)}")
        called = reference(item.input)
        node = graph.target(called) if called else model.id
        relation = graph.relations[node] if called else model.relation
        columns: list[Column] = []
        if item.format != "sql" and called:
            columns = _columns(graph, node, describe)
        elif item.format != "sql":
            columns = session.columns(select(incremental=False))
        _give(session, columns, table, item)
        given[str(relation)] = table
    sql = select(bool(test.overrides.macros.get("is_incremental", False)))
    if str(model.relation) not in given and str(model.relation) in sql:
        raise ProjectError("the model reads `this`, which the test does not give")
    session.execute(f"create or replace temp table actual as\n{sql}")
    _compare(session, test.expect)


def _give(session: Session, columns: list[Column], table: Relation, item: GivenProperties) -> None:
    """Make a table with the columns of the real relation and the rows of the test."""
    if item.format == "sql":
        session.execute(f"create or replace temp table {table.identifier} as\n{item.rows}")
        return
    rows = _rows(item.rows, item.format)
    known = [name.lower() for name, _ in columns]
    for row in rows:
        for name in row:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ProjectError(f"{item.input} has no column `{name}`", hint=hint)
    session.execute(f"create or replace temp table {table.identifier} as {_values(rows, columns)}")


def _columns(graph: Graph, node: str, describe: Describe) -> list[Column]:
    """Names and types of a relation: as it stands, else as its contract says."""
    relation = graph.relations[node]
    with contextlib.suppress(EngineError):
        return describe(relation)
    if node in graph.models and graph.models[node].model.columns:
        declared = graph.models[node].model.columns
        return [(c.name, c.data_type or "varchar") for c in declared]
    raise StepError(
        f"the types of {relation} are not known yet",
        hint=f"build it first: segflow build --select {relation.identifier}",
    )


def _rows(rows: Rows | str | None, form: str) -> Rows:
    """Rows by column name in lower case; an empty cell of CSV is null."""
    if form == "csv":
        reader = csv.DictReader(io.StringIO(str(rows or "").strip()), skipinitialspace=True)
        found: Rows = []
        for row in reader:
            if None in row:
                raise ProjectError(f"line {reader.line_num} of its rows has too many cells")
            found.append({k.lower().strip(): v if v else None for k, v in row.items()})
        return found
    if isinstance(rows, str):
        raise ProjectError("rows as text need `format: csv` or `format: sql`")
    return [{name.lower(): value for name, value in row.items()} for row in rows or []]


def _values(rows: Rows, columns: list[Column]) -> str:
    """A SELECT of the rows, each value cast to its column's type; what a row omits is null."""
    used = {name for row in rows for name in row}
    lines = []
    for row in rows or [{}]:
        cells = [
            f"cast({_literal(row.get(name.lower()))} as {kind})"
            for name, kind in columns
            if name.lower() in used
        ]
        lines.append(f"({', '.join(['0', *cells])})")
    names = ['"its row"', *(quoted(name) for name, _ in columns if name.lower() in used)]
    selected = ", ".join(
        quoted(name) if name.lower() in used else f"cast(null as {kind}) as {quoted(name)}"
        for name, kind in columns
    )
    limit = "" if rows else " limit 0"
    values = f"(values {', '.join(lines)}) as given ({', '.join(names)})"
    return f"select {selected} from {values}{limit}"


def _literal(value: Any) -> str:
    """A value of YAML or CSV in SQL; scalars as text, which a cast turns into any type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{literal(str(k))}: {_literal(item)}" for k, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    return literal(str(value))


def _compare(session: Session, expect: ExpectProperties) -> None:
    actual = session.columns("select * from actual")
    if expect.format == "sql":
        session.execute(f"create or replace temp table expected as\n{expect.rows}")
        names = [name for name, _ in session.columns("select * from expected")]
    else:
        rows = _rows(expect.rows, expect.format)
        names = list(dict.fromkeys(name for row in rows for name in row)) or [
            name.lower() for name, _ in actual
        ]
        types = {name.lower(): kind for name, kind in actual}
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
    shown = [", ".join(f"{k} {_shown(v)}" for k, v in row.items()) for row in rows[:3]]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return [f"{heading}: {' | '.join(shown)}{more}"]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
