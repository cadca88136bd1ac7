"""A `Plan` in, one `Result` per step out, in threads; a failure stays where it is."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from graphlib import TopologicalSorter

from segflow.build.data_tests import FAILURES_SCHEMA, run_tests
from segflow.build.plan import Plan, Step
from segflow.build.steps import (
    Execution,
    blank_result,
    build_of,
    run_step,
    test_sql,
    unit_test,
)
from segflow.compile.graph import Graph
from segflow.compile.lineage import all_of, roots_of, stale_columns, told
from segflow.compile.relations import quoted
from segflow.engines.base import Session
from segflow.errors import SegflowError
from segflow.journal import Result, TestResult
from segflow.project import nodes

# Hears of the plan, then of every step's start and end.
Watch = Callable[[Plan | Step | Result], None]


def run_plan(plan: Plan, execution: Execution, threads: int, watch: Watch) -> list[Result]:
    """Run every step, independent ones in parallel; `watch` hears of each start and end.

    The results come in the order of the plan, whatever finished first.
    """
    _prepare(plan, execution)
    steps, results = {step.node: step for step in plan.steps}, dict[str, Result]()
    order = TopologicalSorter({step.node: (*step.needs, *step.follows) for step in plan.steps})
    order.prepare()
    running: set[Future[Result]] = set()

    def end(result: Result) -> None:
        results[result.node] = result
        watch(result)
        order.done(result.node)

    with ThreadPoolExecutor(threads) as pool:
        ready: list[str] = []
        while order.is_active():
            while (ready := [*ready, *order.get_ready()]) and len(running) < threads:
                step = steps[ready.pop(0)]
                roots = _roots(step, execution)
                if roots:
                    execution.stale[step.node] = all_of(*roots)
                    end(_held(execution.graph, step, roots))
                else:
                    watch(step)
                    running.add(pool.submit(run_step, step, execution))
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            running -= done
            for future in done:
                end(_standing(future.result(), execution))
    return [results[step.node] for step in plan.steps]


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
    if model and (model.is_segment or build_of(model, execution).is_incremental):
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


def _held(graph: Graph, step: Step, roots: tuple[str, ...]) -> Result:
    names = ", ".join(graph.nodes[root].name for root in roots)
    return replace(
        blank_result(graph, step), status="held", message=f"reads {names}", because=roots
    )


def _prepare(plan: Plan, execution: Execution) -> None:
    """Make the schemas, which parallel steps could not, and look what is there."""
    schemas = {execution.graph.relations[step.node].schema for step in plan.steps}
    tests = (test for step in plan.steps for test in execution.data_tests(step))
    if any(execution.keeps_failures(test) for test in tests):
        schemas.add(FAILURES_SCHEMA)
    with execution.engine.session() as session:
        for schema in sorted(schemas):
            session.execute(f"create schema if not exists {quoted(schema)}")
        execution.standing = session.relations()


def test_published(
    session: Session, execution: Execution, chosen: set[str], watch: Callable[[TestResult], None]
) -> list[TestResult]:
    """Run the chosen data tests and unit tests on what was last published, outside any run."""
    project, results = execution.graph.project, []
    tests: list[nodes.DataTest | nodes.UnitTest] = [*project.data_tests, *project.unit_tests]
    for test in tests:
        if test.id in chosen:
            results.append(_tested(session, execution, test))
            watch(results[-1])
    return results


def _tested(
    session: Session, execution: Execution, test: nodes.DataTest | nodes.UnitTest
) -> TestResult:
    """One test; where it cannot run at all, it failed."""
    if isinstance(test, nodes.UnitTest):
        return unit_test(session, execution, test)
    try:
        return run_tests(session, [(test, test_sql(session, execution, test))])[0]
    except SegflowError as error:
        return TestResult(test.id, test.name, "error", 0, str(error))
