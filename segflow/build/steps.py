"""One step of a plan in, its `Result` out: a node is made and tested in one transaction."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from segflow.build import materializations as making
from segflow.build.data_tests import check_freshness, failures_kept, run_tests
from segflow.build.materializations import Build
from segflow.build.plan import Step
from segflow.build.unit_tests import unit_test_result
from segflow.compile.compiler import Compilation, render_test, scope_of
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.lineage import Stale
from segflow.compile.parsing import ParsedModel
from segflow.compile.relations import Relation, at
from segflow.engines.base import Column, Engine, EngineError, Row, Session
from segflow.errors import Location, SegflowError, StepError
from segflow.journal import Result, TestResult
from segflow.project import nodes


@dataclass
class Execution:
    """What every step of one run shares.

    `stale` are the columns that are not up to date, by node: those that an earlier run left so, and
    those that this one does; `filled` the rows that tables had which must not be found empty.
    `standing` says what there is, `table` or `view`, by schema and name
    in lower case; `described` which columns it has.
    """

    engine: Engine
    graph: Graph
    compilation: Compilation
    as_of: datetime
    full_refresh: bool = False
    store_failures: bool = False
    log: Callable[[str], None] = lambda _: None
    stale: dict[str, Stale] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)
    standing: dict[tuple[str, str], str] = field(default_factory=dict)
    described: dict[Relation, list[Column]] = field(default_factory=dict)

    def stands(self, relation: Relation) -> str | None:
        """`table`, `view`, or None where there is no such relation."""
        return self.standing.get((relation.schema.lower(), relation.identifier.lower()))

    def built(self, relation: Relation, kind: str) -> None:
        self.standing[relation.schema.lower(), relation.identifier.lower()] = kind
        self.described.pop(relation, None)

    def columns(self, session: Session, relation: Relation) -> list[Column]:
        """Names and types of a relation, asked once until it is built again."""
        if relation not in self.described:
            self.described[relation] = session.columns(f"select * from {relation}")
        return self.described[relation]

    def data_tests(self, step: Step) -> list[nodes.DataTest]:
        found = (self.graph.nodes[node] for node in step.tests)
        return [test for test in found if isinstance(test, nodes.DataTest)]

    def keeps_failures(self, test: nodes.DataTest) -> bool:
        """Whether the rows that fail a test are kept."""
        store = test.config.store_failures
        return self.store_failures if store is None else store


class SessionCatalog:
    """Answers what templates ask of the database, through the session of the step that asks."""

    def __init__(self, session: Session, as_of: datetime):
        self._session, self._as_of = session, as_of

    def relation_type(self, relation: Relation) -> str | None:
        return self._session.relation_type(relation.schema, relation.identifier)

    def columns(self, relation: Relation) -> list[Column]:
        return self._session.columns(f"select * from {relation}")

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        return self._session.query(at(sql, self._as_of))


def rendered(
    session: Session, graph: Graph, model: ParsedModel, as_of: datetime, **changes: Any
) -> str:
    """The SELECT of a model, rendered just before it runs, the clock filled in."""
    scope = scope_of(graph, model, SessionCatalog(session, as_of), **changes)
    return at(graph.parser.sql(scope), as_of)


def test_sql(session: Session, execution: Execution, test: nodes.DataTest) -> str:
    """The test's final SELECT; one that asks the database is rendered now."""
    sql = execution.compilation.tests[test.id]
    if test.file and "run_query" in test.text:
        sql = render_test(execution.graph, test, SessionCatalog(session, execution.as_of))
    return at(sql, execution.as_of)


def unit_test(session: Session, execution: Execution, test: nodes.UnitTest) -> TestResult:
    describe = partial(execution.columns, session)
    return unit_test_result(session, execution.graph, test, execution.as_of, describe)


def run_step(step: Step, execution: Execution) -> Result:
    """Run one step. Whatever goes wrong in it stays in it: this is where any exception ends."""
    start = time.perf_counter()
    blank = blank_result(execution.graph, step)
    try:
        with execution.engine.session() as session:
            result = _STEPS[step.kind](session, step, execution, blank)
    except Exception as error:  # one step's failure must not end the run
        result = replace(blank, status="error", message=_explained(error, step, execution.graph))
    return replace(result, seconds=time.perf_counter() - start)


def blank_result(graph: Graph, step: Step) -> Result:
    relation = graph.relations[step.node]
    return Result(step.node, step.kind, graph.nodes[step.node].name, str(relation), "success")


def build_of(model: ParsedModel, execution: Execution) -> Build:
    """How a model is made, as far as it is known before its SELECT is."""
    before = execution.stands(model.relation)
    return Build(model.relation, model.config, "", before, execution.full_refresh)


def _explained(error: Exception, step: Step, graph: Graph) -> str:
    """What went wrong and where to look: the model and its compiled file."""
    if not isinstance(error, SegflowError):
        error = StepError(f"{type(error).__name__}: {error}")
    if error.location is None and step.node in graph.models:
        node = graph.nodes[step.node]
        compiled = graph.project.target_path / "compiled" / node.package / node.path
        # Whatever is executed has one line before the model's own.
        line = error.line - 1 if isinstance(error, EngineError) and error.line else None
        error.location = Location(compiled, line or None)
    return str(error)


def _source(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    source = execution.graph.nodes[step.node]
    assert isinstance(source, nodes.Source)
    relation = execution.graph.relations[step.node]
    warning = check_freshness(session, source, relation, execution.as_of)
    result = _made(session, step, execution, blank, lambda: None)
    if warning and result.is_good:
        return replace(result, status="warn", message=warning)
    return result


def _seed(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    seed = execution.graph.nodes[step.node]
    assert isinstance(seed, nodes.Seed)
    relation = execution.graph.relations[step.node]

    def make() -> int | None:
        if execution.stands(relation) == "view":
            session.execute(f"drop view {relation}")
        session.load_csv(str(relation), seed.file, seed.config.column_types, seed.config.delimiter)
        making.comment(session, relation, "table", seed.description, seed.columns)
        return _count(session, relation, "table")

    result = _made(session, step, execution, blank, make)
    if result.is_good:
        execution.built(relation, "table")
    return result


def _model(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    model = execution.graph.models[step.node]
    relation = model.relation
    asked = [execution.graph.nodes[node] for node in step.unit_tests]
    unit_tests = tuple(
        unit_test(session, execution, test) for test in asked if isinstance(test, nodes.UnitTest)
    )
    if any(test.status == "error" for test in unit_tests):
        return _judged(blank, unit_tests)
    build = build_of(model, execution)
    build = replace(build, sql=_final_sql(session, execution, model, build))
    if model.config.contract.enforced:
        making.check_contract(session, model.model.columns, session.columns(build.sql))
    members = _members(session, execution, blank.name, build.sql) if model.is_segment else None

    def make() -> int | None:
        making.materialize(session, build)
        making.comment(session, relation, build.kind, model.model.description, model.model.columns)
        return _count(session, relation, build.kind) if members is None else members

    result = _made(session, step, execution, blank, make, unit_tests)
    if result.is_good:
        execution.built(relation, build.kind)
    return result


def _final_sql(session: Session, execution: Execution, model: ParsedModel, build: Build) -> str:
    """The SELECT with the clock filled in; a template that asks the database is rendered now."""
    if not model.facts.asks:
        return at(execution.compilation.models[model.id].sql, execution.as_of)
    return rendered(
        session,
        execution.graph,
        model,
        execution.as_of,
        is_incremental=build.is_incremental,
        log=execution.log,
    )


def _members(session: Session, execution: Execution, segment: str, sql: str) -> int:
    """Evaluate a segment, and hold its key against that of `contacts`."""
    members, key = making.evaluate(session, segment, sql)
    contacts = execution.graph.relations.get(str(execution.graph.find(CONTACTS)))
    if contacts and execution.stands(contacts):
        types = {name.lower(): kind for name, kind in execution.columns(session, contacts)}
        if key != types.get("contact_id", key):
            raise StepError(f"contact_id is {key} here and {types['contact_id']} in {contacts}")
    return members


def _count(session: Session, relation: Relation, kind: str) -> int | None:
    """Rows of a table; of a view only whether there are any."""
    if kind == "table":
        return int(session.rows(f"select count(*) from {relation}")[0][0])
    return None if session.rows(f"select 1 from {relation} limit 1") else 0


class _Undone(Exception):
    """Leaves a transaction whose tests failed."""


def _made(
    session: Session,
    step: Step,
    execution: Execution,
    blank: Result,
    make: Callable[[], int | None],
    before: tuple[TestResult, ...] = (),
) -> Result:
    """Make a relation and test it in one transaction: a failed test leaves the old one in place.

    So does what has no rows though it must not be found empty.
    """
    tests: list[TestResult] = []
    rows, had = None, execution.filled.get(step.node)
    with failures_kept(session) as keep, suppress(_Undone), session.transaction():
        rows = make()
        asked = [(test, test_sql(session, execution, test)) for test in execution.data_tests(step)]
        for test, sql in asked:
            if execution.keeps_failures(test):
                keep(test, sql)
        tests = run_tests(session, asked)
        if (had and rows == 0) or any(test.status == "error" for test in tests):
            raise _Undone
    if had and rows == 0:
        # Rows of a view were not counted.
        is_counted = execution.stands(execution.graph.relations[step.node]) == "table"
        said = f"empty, had {had:,} row{'s' * (had > 1)}" if is_counted else "empty, had rows"
        return replace(blank, status="error", message=said, rows=0, tests=(*before, *tests))
    return _judged(blank, (*before, *tests), rows)


def _judged(blank: Result, tests: tuple[TestResult, ...], rows: int | None = None) -> Result:
    """The result of a step whose tests are done."""
    failed = [test.message for test in tests if test.status == "error"]
    if failed:
        return replace(blank, status="error", message="; ".join(failed), tests=tests)
    status = "warn" if any(test.status == "warn" for test in tests) else "success"
    return replace(blank, status=status, rows=rows, tests=tests)


_STEPS: dict[str, Callable[[Session, Step, Execution, Result], Result]] = {
    "source": _source,
    "seed": _seed,
    "model": _model,
    "segment": _model,
}
