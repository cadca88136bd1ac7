"""Tests on what was last published, outside any run."""

from collections.abc import Callable

from segflow.build.data_tests import TestResult, run_test
from segflow.build.runner import Execution, test_sql
from segflow.build.unit_tests import run_unit_test
from segflow.engines.base import Session
from segflow.errors import StepError
from segflow.project import nodes


def run_tests(
    session: Session, execution: Execution, chosen: set[str], watch: Callable[[TestResult], None]
) -> list[TestResult]:
    """Run the data tests and unit tests that are chosen, or that read what is chosen."""
    graph = execution.graph
    results = []
    tests: list[nodes.DataTest | nodes.UnitTest] = [
        *graph.project.data_tests,
        *graph.project.unit_tests,
    ]
    for test in tests:
        parents = graph.parents.get(test.id, ())
        if test.id in chosen or chosen.intersection(parents):
            results.append(_run(session, execution, test))
            watch(results[-1])
    return results


def _run(
    session: Session, execution: Execution, test: nodes.DataTest | nodes.UnitTest
) -> TestResult:
    """One test; where it cannot run at all, it failed."""
    try:
        if isinstance(test, nodes.DataTest):
            return run_test(session, test, test_sql(session, execution, test))
        run_unit_test(session, execution.graph, test, execution.as_of)
    except StepError as error:
        return TestResult(test.id, test.name, "error", 0, str(error))
    return TestResult(test.id, test.name, "pass", 0)
