"""A `Plan` in, one `Result` per step out: steps run in threads, and a failure holds back what reads it."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from segflow.build import materializations as making
from segflow.build.data_tests import Failures, TestResult, run_test
from segflow.build.freshness import check_freshness
from segflow.build.materializations import Build
from segflow.build.plan import Plan, Step
from segflow.build.unit_tests import run_unit_test
from segflow.compile.compiler import Compilation, render_model, render_test, scope_of
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.parsing import ParsedModel
from segflow.compile.relations import Relation, at, literal
from segflow.engines.base import SCRATCH, Column, Engine, Row, Session
from segflow.errors import Location, SegflowError, StepError
from segflow.project import nodes


@dataclass(frozen=True)
class Result:
    """How a step ended: `success`, `warn`, `error`, or `held` because of what it reads.

    `because` are the failed nodes at the root of a hold. `rows` is None where nobody counted.
    """

    node: str
    kind: str
    name: str
    relation: str
    status: str
    message: str = ""
    rows: int | None = None
    seconds: float = 0.0
    tests: tuple[TestResult, ...] = ()
    because: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.status in ("success", "warn")


@dataclass
class Execution:
    """What every step of one run shares.

    `kept` are the nodes that an earlier run could not bring up to date; `types` remembers how the
    engine spells the types that contracts name.
    """

    engine: Engine
    graph: Graph
    compilation: Compilation
    as_of: datetime
    full_refresh: bool = False
    store_failures: bool = False
    log: Callable[[str], None] = lambda _: None
    kept: frozenset[str] = frozenset()
    types: dict[str, str] = field(default_factory=dict)


# Hears of the plan, then of every step's start and end.
Watch = Callable[[Plan | Step | Result], None]


def members_table(segment: str) -> str:
    """Where the contacts of a segment lie while a run lasts: one column, `contact_id`."""
    return f'{SCRATCH}."members of {segment}"'


def run_plan(plan: Plan, execution: Execution, threads: int, watch: Watch) -> list[Result]:
    """Run every step, independent ones in parallel; `watch` hears of each start and end."""
    _make_schemas(plan, execution)
    results: dict[str, Result] = {}
    left = {step.node: step for step in plan.steps}
    running: dict[Future[Result], Step] = {}
    with ThreadPoolExecutor(threads) as pool:
        try:
            while left or running:
                for step in _ready(left, running.values(), threads):
                    del left[step.node]
                    roots = _roots(step, results, execution.kept)
                    if roots:
                        results[step.node] = _held(execution.graph, step, roots)
                        watch(results[step.node])
                    else:
                        watch(step)
                        running[pool.submit(_run_step, step, execution)] = step
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    step = running.pop(future)
                    results[step.node] = future.result()
                    watch(results[step.node])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            execution.engine.interrupt()
            raise
    return list(results.values())


def _ready(left: dict[str, Step], running: Iterable[Step], threads: int) -> list[Step]:
    """Steps that wait for nothing, as many as there are idle threads."""
    busy = {step.node for step in running}
    pending = left.keys() | busy
    free = [s for s in left.values() if not pending.intersection((*s.needs, *s.follows))]
    return free[: max(threads - len(busy), 0)]


def _roots(step: Step, results: dict[str, Result], kept: frozenset[str]) -> tuple[str, ...]:
    """The nodes on whose account a step is held back: those that failed at the start of the chain."""
    roots = dict.fromkeys(node for node in step.outside if node in kept)
    for need in step.needs:
        if not results[need].is_good:
            roots.update(dict.fromkeys(results[need].because or (need,)))
    return tuple(roots)


def _held(graph: Graph, step: Step, roots: tuple[str, ...]) -> Result:
    names = ", ".join(graph.nodes[root].name for root in roots)
    return replace(_blank(graph, step), status="held", message=f"reads {names}", because=roots)


def _blank(graph: Graph, step: Step) -> Result:
    relation = graph.relations[step.node]
    return Result(step.node, step.kind, graph.nodes[step.node].name, str(relation), "success")


def _make_schemas(plan: Plan, execution: Execution) -> None:
    schemas = {execution.graph.relations[step.node].schema for step in plan.steps}
    with execution.engine.session() as session:
        for schema in sorted(schemas):
            session.execute(
                f"create schema if not exists {Relation(schema, 'x')}".rpartition(".")[0]
            )


def _run_step(step: Step, execution: Execution) -> Result:
    """Run one step. Whatever goes wrong in it stays in it: this is where any exception ends."""
    start = time.perf_counter()
    blank = _blank(execution.graph, step)
    try:
        with execution.engine.session() as session:
            result = _STEPS[step.kind](session, step, execution, blank)
    except Exception as error:  # one step's failure must not end the run
        result = replace(blank, status="error", message=_explained(error, step, execution.graph))
    seconds = time.perf_counter() - start
    return replace(result, seconds=seconds)


def _explained(error: Exception, step: Step, graph: Graph) -> str:
    """What went wrong and where to look: the model and its compiled file."""
    if not isinstance(error, SegflowError):
        error = StepError(f"{type(error).__name__}: {error}")
    if error.location is None and step.node in graph.models:
        error.location = Location(compiled_path(graph, graph.models[step.node].model))
    return str(error)


def compiled_path(graph: Graph, node: nodes.Node) -> Path:
    """Where the compiled SQL of a node lies."""
    return graph.project.target_path / "compiled" / node.package / node.path


def _source(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    source = execution.graph.nodes[step.node]
    assert isinstance(source, nodes.Source)
    relation = execution.graph.relations[step.node]
    warning = check_freshness(session, source, relation, execution.as_of)
    tests = _tests(session, step, execution, None)
    failed = [test.message for test in tests if test.status == "error"]
    if failed:
        return replace(blank, status="error", message="; ".join(failed), tests=tests)
    return replace(
        blank, status="warn" if warning else "success", message=warning or "", tests=tests
    )


def _seed(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    seed = execution.graph.nodes[step.node]
    assert isinstance(seed, nodes.Seed)
    relation = execution.graph.relations[step.node]

    def load() -> None:
        session.load_csv(str(relation), seed.file, seed.config.column_types, seed.config.delimiter)
        making.comment(session, relation, "table", seed.description, seed.columns)

    return _build_and_test(session, step, execution, blank, load)


def _model(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    model = execution.graph.models[step.node]
    for unit_test in step.unit_tests:
        test = execution.graph.nodes[unit_test]
        assert isinstance(test, nodes.UnitTest)
        run_unit_test(session, execution.graph, test, execution.as_of)
    before = session.relation_type(model.relation.schema, model.relation.identifier)
    build = Build(model.relation, model.config, "", before, execution.full_refresh)
    build = replace(build, sql=_final_sql(session, execution, model, build))
    columns = session.columns(build.sql) if _wants_columns(model) else []
    if model.config.contract.enforced:
        declared = model.model.columns
        making.check_contract(declared, columns, _types(session, execution, declared))
    rows = _evaluate(session, execution, model, build, columns) if model.is_segment else None

    def make() -> None:
        making.materialize(session, build)
        kind = "view" if model.config.materialized in ("view", "segment") else "table"
        making.comment(session, model.relation, kind, model.model.description, model.model.columns)

    return _build_and_test(session, step, execution, blank, make, rows)


def _wants_columns(model: ParsedModel) -> bool:
    return model.is_segment or model.config.contract.enforced


def _final_sql(session: Session, execution: Execution, model: ParsedModel, build: Build) -> str:
    """The SELECT with the clock filled in; a template that asks the database is rendered now."""
    sql = execution.compilation.models[model.id].sql
    if model.facts.asks:
        catalog = SessionCatalog(session, execution.as_of)
        scope = scope_of(
            execution.graph,
            model,
            catalog,
            is_incremental=build.is_incremental,
            log=execution.log,
        )
        sql = render_model(execution.graph, model, scope)
    return at(sql, execution.as_of)


def _types(
    session: Session, execution: Execution, declared: tuple[nodes.ColumnProperties, ...]
) -> dict[str, str]:
    """The engine's spelling of each declared type."""
    new = [c.data_type for c in declared if c.data_type and c.data_type not in execution.types]
    if new:
        casts = ", ".join(f"cast(null as {kind})" for kind in new)
        found = session.columns(f"select {casts}")
        execution.types.update(zip(new, (kind for _, kind in found), strict=True))
    return execution.types


def _evaluate(
    session: Session, execution: Execution, model: ParsedModel, build: Build, columns: list[Column]
) -> int:
    """Put a segment's contacts aside for membership: each once, none without an id.

    Raises:
        StepError: a contact_id comes twice, is null, or has another type than in `contacts`.
    """
    types = {name.lower(): kind for name, kind in columns}
    _check_key_type(session, execution, types)
    table = members_table(model.model.name)
    session.execute(f"create or replace table {table} as select contact_id from (\n{build.sql}\n)")
    rows, ids, named = session.rows(
        f"select count(*), count(distinct contact_id), count(contact_id) from {table}"
    )[0]
    if named < rows:
        raise StepError(f"{rows - named:,} rows have no contact_id")
    if ids < rows:
        example = session.rows(
            f"select contact_id, count(*) from {table} group by all"
            " having count(*) > 1 order by all limit 1"
        )[0]
        raise StepError(
            f"{rows - ids:,} rows too many: a segment has one row per contact_id, and"
            f" {literal(str(example[0]))} comes {example[1]} times"
        )
    return int(rows)


def _check_key_type(session: Session, execution: Execution, types: dict[str, str]) -> None:
    contacts = execution.graph.find(CONTACTS)
    if contacts is None:
        return
    relation = execution.graph.relations[contacts]
    if session.relation_type(relation.schema, relation.identifier) is None:
        return
    key = next(
        (k for n, k in session.columns(f"select * from {relation}") if n.lower() == "contact_id"),
        None,
    )
    if key and types.get("contact_id") != key:
        raise StepError(f"contact_id is {types.get('contact_id')} here and {key} in {relation}")


def _build_and_test(
    session: Session,
    step: Step,
    execution: Execution,
    blank: Result,
    make: Callable[[], None],
    rows: int | None = None,
) -> Result:
    """Make a relation and test it in one transaction; a failed test leaves the old one in place."""
    with Failures() as failures:
        try:
            with session.transaction():
                make()
                tests = _tests(session, step, execution, failures)
                failed = [test for test in tests if test.status == "error"]
                if failed:
                    raise _TestsFailed(tests)
                relation = execution.graph.relations[step.node]
                counted = _count(session, relation) if rows is None else rows
        except _TestsFailed as error:
            tests = error.tests
            messages = [test.message for test in tests if test.status == "error"]
            result = replace(blank, status="error", message="; ".join(messages), tests=tests)
        else:
            warned = any(test.status == "warn" for test in tests)
            status = "warn" if warned else "success"
            result = replace(blank, status=status, rows=counted, tests=tests)
        failures.store(session)
    return result


class _TestsFailed(Exception):
    def __init__(self, tests: tuple[TestResult, ...]):
        self.tests = tests


def _count(session: Session, relation: Relation) -> int | None:
    """Rows of a table; of a view only whether there are any."""
    if session.relation_type(relation.schema, relation.identifier) == "table":
        return int(session.rows(f"select count(*) from {relation}")[0][0])
    return None if session.rows(f"select 1 from {relation} limit 1") else 0


def _tests(
    session: Session, step: Step, execution: Execution, failures: Failures | None
) -> tuple[TestResult, ...]:
    results = []
    for node in step.tests:
        test = execution.graph.nodes[node]
        assert isinstance(test, nodes.DataTest)
        sql = test_sql(session, execution, test)
        result = run_test(session, test, sql)
        results.append(result)
        store = test.config.store_failures
        if failures and result.failures and (execution.store_failures if store is None else store):
            failures.take(session, test, sql)
    return tuple(results)


def test_sql(session: Session, execution: Execution, test: nodes.DataTest) -> str:
    """The test's final SELECT."""
    sql = execution.compilation.tests[test.id]
    if test.file and "run_query" in test.text:
        catalog = SessionCatalog(session, execution.as_of)
        sql = render_test(execution.graph, test, catalog)
    return at(sql, execution.as_of)


class SessionCatalog:
    """Answers what a template asks of the database, through the session of its own step."""

    def __init__(self, session: Session, as_of: datetime):
        self._session, self._as_of = session, as_of

    def relation_type(self, relation: Relation) -> str | None:
        return self._session.relation_type(relation.schema, relation.identifier)

    def columns(self, relation: Relation) -> list[Column]:
        return self._session.columns(f"select * from {relation}")

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        return self._session.query(at(sql, self._as_of))


_STEPS: dict[str, Callable[[Session, Step, Execution, Result], Result]] = {
    "source": _source,
    "seed": _seed,
    "model": _model,
    "segment": _model,
}
