"""A `Plan` in, one `Result` per step out, in threads; a failure stays where it is."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from segflow.build import materializations as making
from segflow.build.catalog import SessionCatalog, test_sql
from segflow.build.data_tests import FAILURES_SCHEMA, Asked, Failures, TestResult, run_tests
from segflow.build.evaluation import evaluate
from segflow.build.freshness import check_freshness
from segflow.build.materializations import Build
from segflow.build.plan import Plan, Step
from segflow.build.unit_tests import unit_test_result
from segflow.compile.compiler import Compilation, render_model, scope_of
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.lineage import Stale, all_of, roots_of, stale_columns, told
from segflow.compile.parsing import ParsedModel
from segflow.compile.relations import Relation, at, quoted
from segflow.engines.base import Column, Engine, EngineError, Session
from segflow.errors import Location, SegflowError, StepError
from segflow.project import nodes


@dataclass(frozen=True)
class Result:
    """How a step ended: `success`, `warn`, `error`, or `held` because of what it reads.

    `because` are the failed nodes at the root of a hold, or those that a good step's columns stand
    on. `rows` is None where nobody counted.
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

    `stale` are the columns that are not up to date, by node: those that an earlier run left so, and
    those that this one does. `standing` says what there is, `table` or `view`, by schema and name
    in lower case; `described` which columns it has; `types` how the engine spells the types that
    contracts name.
    """

    engine: Engine
    graph: Graph
    compilation: Compilation
    as_of: datetime
    full_refresh: bool = False
    store_failures: bool = False
    log: Callable[[str], None] = lambda _: None
    stale: dict[str, Stale] = field(default_factory=dict)
    standing: dict[tuple[str, str], str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
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


# Hears of the plan, then of every step's start and end.
Watch = Callable[[Plan | Step | Result], None]


def run_plan(plan: Plan, execution: Execution, threads: int, watch: Watch) -> list[Result]:
    """Run every step, independent ones in parallel; `watch` hears of each start and end.

    The results come in the order of the plan, whatever finished first.
    """
    _prepare(plan, execution)
    results: dict[str, Result] = {}
    left = {step.node: step for step in plan.steps}
    running: dict[Future[Result], Step] = {}
    with ThreadPoolExecutor(threads) as pool:
        while left or running:
            for step in _ready(left, running.values(), threads):
                del left[step.node]
                roots = _roots(step, execution)
                if roots:
                    results[step.node] = _held(execution.graph, step, roots)
                    execution.stale[step.node] = all_of(*roots)
                    watch(results[step.node])
                else:
                    watch(step)
                    running[pool.submit(_run_step, step, execution)] = step
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                step = running.pop(future)
                results[step.node] = _standing(future.result(), execution)
                watch(results[step.node])
    return [results[step.node] for step in plan.steps]


def _ready(left: dict[str, Step], running: Iterable[Step], threads: int) -> list[Step]:
    """Steps that wait for nothing, as many as there are idle threads."""
    busy = {step.node for step in running}
    pending = left.keys() | busy
    free = [s for s in left.values() if not pending.intersection((*s.needs, *s.follows))]
    return free[: max(threads - len(busy), 0)]


def _roots(step: Step, execution: Execution) -> tuple[str, ...]:
    """The nodes on whose account a step is held back: those that failed at the start of the chain.

    A step needs what it and its tests read to be there. What has a history of its own, as the
    membership of a segment or an incremental table, also waits until all of it is up to date.
    """
    graph, stale = execution.graph, execution.stale
    roots = roots_of(
        *(
            stale[node]
            for node in (*step.needs, *step.outside, *step.follows)
            if node in stale
            and graph.nodes[node].kind != "source"
            and not execution.stands(graph.relations[node])
        )
    )
    model = graph.models.get(step.node)
    if model and (model.is_segment or _as_it_stands(model, execution).is_incremental):
        roots |= roots_of(stale_columns(graph, execution.compilation, step.node, stale))
    return tuple(sorted(roots))


def _standing(result: Result, execution: Execution) -> Result:
    """Note what of a step is not up to date, now that it has ended."""
    graph, node = execution.graph, result.node
    if not result.is_good:
        execution.stale[node] = all_of(node)
        return result
    stale = stale_columns(graph, execution.compilation, node, execution.stale)
    execution.stale.pop(node, None)
    if not stale:
        return result
    execution.stale[node] = stale
    because = tuple(sorted(roots_of(stale)))
    return replace(result, message=told(graph, stale), because=because)


def _as_it_stands(model: ParsedModel, execution: Execution) -> Build:
    before = execution.stands(model.relation)
    return Build(model.relation, model.config, "", before, execution.full_refresh)


def _held(graph: Graph, step: Step, roots: tuple[str, ...]) -> Result:
    names = ", ".join(graph.nodes[root].name for root in roots)
    return replace(_blank(graph, step), status="held", message=f"reads {names}", because=roots)


def _blank(graph: Graph, step: Step) -> Result:
    relation = graph.relations[step.node]
    return Result(step.node, step.kind, graph.nodes[step.node].name, str(relation), "success")


def _prepare(plan: Plan, execution: Execution) -> None:
    """Make the schemas, which parallel steps could not, and look what is there."""
    schemas = {execution.graph.relations[step.node].schema for step in plan.steps}
    if any(
        _stores(test, execution) for step in plan.steps for test in _data_tests(step, execution)
    ):
        schemas.add(FAILURES_SCHEMA)
    with execution.engine.session() as session:
        for schema in sorted(schemas):
            session.execute(f"create schema if not exists {quoted(schema)}")
        execution.standing = session.relations()


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
        # Whatever is executed has one line before the model's own.
        line = error.line - 1 if isinstance(error, EngineError) and error.line else None
        path = compiled_path(graph, graph.models[step.node].model)
        error.location = Location(path, line or None)
    return str(error)


def compiled_path(graph: Graph, node: nodes.Node) -> Path:
    """Where the compiled SQL of a node lies."""
    return graph.project.target_path / "compiled" / node.package / node.path


def _source(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    source = execution.graph.nodes[step.node]
    assert isinstance(source, nodes.Source)
    relation = execution.graph.relations[step.node]
    warning = check_freshness(session, source, relation, execution.as_of)
    tests, _ = _make_and_test(session, step, execution, lambda: None)
    result = _judged(blank, tests)
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

    tests, rows = _make_and_test(session, step, execution, make)
    result = _judged(blank, tests, rows)
    if result.is_good:
        execution.built(relation, "table")
    return result


def _model(session: Session, step: Step, execution: Execution, blank: Result) -> Result:
    model = execution.graph.models[step.node]
    relation = model.relation
    unit_tests = _unit_tests(session, step, execution)
    if any(test.status == "error" for test in unit_tests):
        return _judged(blank, unit_tests)
    build = _as_it_stands(model, execution)
    build = replace(build, sql=_final_sql(session, execution, model, build))
    _check_columns(session, execution, model, build.sql)
    members = evaluate(session, model.model.name, build.sql) if model.is_segment else None

    def make() -> int | None:
        making.materialize(session, build)
        making.comment(session, relation, build.kind, model.model.description, model.model.columns)
        return _count(session, relation, build.kind) if members is None else members

    tests, rows = _make_and_test(session, step, execution, make)
    result = _judged(blank, (*unit_tests, *tests), rows)
    if result.is_good:
        execution.built(relation, build.kind)
    return result


def _unit_tests(session: Session, step: Step, execution: Execution) -> tuple[TestResult, ...]:
    found = [execution.graph.nodes[node] for node in step.unit_tests]
    describe = partial(execution.columns, session)
    return tuple(
        unit_test_result(session, execution.graph, test, execution.as_of, describe)
        for test in found
        if isinstance(test, nodes.UnitTest)
    )


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


def _check_columns(session: Session, execution: Execution, model: ParsedModel, sql: str) -> None:
    """Hold a SELECT against its contract, and a segment's key against that of `contacts`."""
    if not (model.is_segment or model.config.contract.enforced):
        return
    columns = session.columns(sql)
    if model.config.contract.enforced:
        declared = model.model.columns
        making.check_contract(declared, columns, _types(session, execution, declared))
    contacts = execution.graph.relations.get(str(execution.graph.find(CONTACTS)))
    if model.is_segment and contacts and execution.stands(contacts):
        key, wanted = _key_type(columns), _key_type(execution.columns(session, contacts))
        if wanted and key != wanted:
            raise StepError(f"contact_id is {key} here and {wanted} in {contacts}")


def _key_type(columns: list[Column]) -> str | None:
    return next((kind for name, kind in columns if name.lower() == "contact_id"), None)


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


def _count(session: Session, relation: Relation, kind: str) -> int | None:
    """Rows of a table; of a view only whether there are any."""
    if kind == "table":
        return int(session.rows(f"select count(*) from {relation}")[0][0])
    return None if session.rows(f"select 1 from {relation} limit 1") else 0


class _Undone(Exception):
    """Leaves a transaction whose tests failed."""


def _make_and_test(
    session: Session, step: Step, execution: Execution, make: Callable[[], int | None]
) -> tuple[tuple[TestResult, ...], int | None]:
    """Make a relation and test it in one transaction: a failed test leaves the old one in place."""
    tests: list[TestResult] = []
    rows = None
    with Failures() as failures:
        try:
            with session.transaction():
                rows = make()
                asked = _asked(session, step, execution)
                for test, sql in asked:
                    if _stores(test, execution):
                        failures.take(session, test, sql)
                tests = run_tests(session, asked)
                if any(test.status == "error" for test in tests):
                    raise _Undone
        except _Undone:
            pass
        failures.store(session)
    return tuple(tests), rows


def _data_tests(step: Step, execution: Execution) -> list[nodes.DataTest]:
    found = [execution.graph.nodes[node] for node in step.tests]
    return [test for test in found if isinstance(test, nodes.DataTest)]


def _asked(session: Session, step: Step, execution: Execution) -> list[Asked]:
    graph, compilation, as_of = execution.graph, execution.compilation, execution.as_of
    return [
        (test, test_sql(session, graph, compilation, test, as_of))
        for test in _data_tests(step, execution)
    ]


def _stores(test: nodes.DataTest, execution: Execution) -> bool:
    """Whether the rows that fail a test are kept."""
    store = test.config.store_failures
    return execution.store_failures if store is None else store


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
