"""Tests on what was last published, outside any run."""

from collections.abc import Callable
from functools import partial

from segflow.build import data_tests
from segflow.build.catalog import test_sql
from segflow.build.data_tests import TestResult
from segflow.build.runner import Execution
from segflow.build.unit_tests import unit_test_result
from segflow.engines.base import Session
from segflow.errors import SegflowError
from segflow.project import nodes


def run_tests(
    session: Session, execution: Execution, chosen: set[str], watch: Callable[[TestResult], None]
) -> list[TestResult]:
    """Run the data tests and unit tests that are chosen."""
    graph = execution.graph
    results = []
    tests: list[nodes.DataTest | nodes.UnitTest] = [
        *graph.project.data_tests,
        *graph.project.unit_tests,
    ]
    for test in tests:
        if test.id in chosen:
            results.append(_run(session, execution, test))
            watch(results[-1])
    return results


def _run(
    session: Session, execution: Execution, test: nodes.DataTest | nodes.UnitTest
) -> TestResult:
    """One test; where it cannot run at all, it failed."""
    graph, as_of = execution.graph, execution.as_of
    if isinstance(test, nodes.UnitTest):
        return unit_test_result(session, graph, test, as_of, partial(execution.columns, session))
    try:
        sql = test_sql(session, graph, execution.compilation, test, as_of)
        return data_tests.run_tests(session, [(test, sql)])[0]
    except SegflowError as error:
        return TestResult(test.id, test.name, "error", 0, str(error))
