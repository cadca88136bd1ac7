"""Compiled tests in, how many rows are wrong out; a source in, how old its newest row is."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from segflow.compile.relations import Relation, literal, timestamp
from segflow.engines.base import EngineError, Session
from segflow.errors import StepError
from segflow.journal import TestResult
from segflow.project.load import place
from segflow.project.nodes import DataTest, Source
from segflow.project.properties import Period

FAILURES_SCHEMA = "test_failures"


# A test and its final SELECT.
Asked = tuple[DataTest, str]

# What `not_null` compiles to. Any number of such tests on one relation take one scan together.
_NULLS = re.compile(r"select \*\nfrom (.+)\nwhere (.+ is null)")


def run_tests(session: Session, asked: list[Asked]) -> list[TestResult]:
    """Count the rows that each test returns and judge them by the test's own limits.

    Raises:
        StepError: the engine refuses one of them.
    """
    groups: dict[str, list[Asked]] = {}
    for test, sql in asked:
        nulls = _NULLS.fullmatch(sql)
        groups.setdefault(nulls[1] if nulls else f"test {test.id}", []).append((test, sql))
    found = {
        result.node: result for group in groups.values() for result in _run_together(session, group)
    }
    return [found[test.id] for test, _ in asked]


def _run_together(session: Session, group: list[Asked]) -> list[TestResult]:
    """Tests that look for nulls in one relation, or a single test of any kind."""
    _, sql = group[0]
    counts = f"select count(*) as n0 from (\n{sql}\n)"
    if len(group) > 1:
        matches = [match for _, sql in group if (match := _NULLS.fullmatch(sql))]
        filters = (f"count(*) filter (where {m[2]}) as n{i}" for i, m in enumerate(matches))
        counts = f"select {', '.join(filters)} from {matches[0][1]}"
    judged = ", ".join(
        f"n{i}, n{i} {test.config.error_if}, n{i} {test.config.warn_if}"
        for i, (test, _) in enumerate(group)
    )
    try:
        row = session.rows(f"select {judged} from ({counts})")[0]
    except EngineError as error:
        names = ", ".join(test.name for test, _ in group)
        raise StepError(f"the test {names} cannot run: {error.message}") from None
    return [_result(test, *row[3 * i : 3 * i + 3]) for i, (test, _) in enumerate(group)]


def _result(test: DataTest, failures: int, is_error: bool, is_warning: bool) -> TestResult:
    strict = test.config.severity.lower() == "error"
    status = "error" if strict and is_error else "warn" if is_warning else "pass"
    message = ""
    if status != "pass":
        message = f"{test.name}: {failures:,} row{'' if failures == 1 else 's'}"
        if test.description:
            message += f" ({test.description})"
    return TestResult(test.id, test.name, status, int(failures), message)


def check_freshness(
    session: Session, source: Source, relation: Relation, as_of: datetime
) -> str | None:
    """A warning where the source is older than `warn_after`, else None.

    Raises:
        StepError: it is older than `error_after`, or has no row at all up to `as_of`.
    """
    freshness = source.freshness
    if freshness is None:
        return None
    if source.loaded_at_field is None:
        raise StepError("it has freshness but no loaded_at_field", place(source, ""))
    moment = f"cast({source.loaded_at_field} as timestamp)"
    where = f" and ({freshness.filter})" if freshness.filter else ""
    newest = session.rows(
        f"select max({moment}) from {relation} where {moment} <= {timestamp(as_of)}{where}"
    )[0][0]
    age = as_of - newest if newest else None
    said = f"last row {_hours(age)} ago" if age is not None else "no rows"
    if freshness.error_after and (age is None or age > _delta(freshness.error_after)):
        raise StepError(f"{said} (limit {_hours(_delta(freshness.error_after))})")
    if freshness.warn_after and (age is None or age > _delta(freshness.warn_after)):
        return f"{said} (warned after {_hours(_delta(freshness.warn_after))})"
    return None


def _delta(period: Period) -> timedelta:
    return timedelta(**{f"{period.period}s": period.count})


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    if hours < 1:
        return f"{age.total_seconds() / 60:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"


@contextmanager
def failures_kept(session: Session) -> Iterator[Callable[[DataTest, str], None]]:
    """Keep rows that fail tests, though the transaction inside may be undone.

    They end as tables in the schema `test_failures`; of a test that passed, as an empty one.
    """
    files: dict[str, Path] = {}
    with ExitStack() as stack:

        @cache
        def folder() -> Path:
            made = TemporaryDirectory(prefix="segflow-", ignore_cleanup_errors=True)
            return Path(stack.enter_context(made))

        def keep(test: DataTest, sql: str) -> None:
            files[test.name] = folder() / f"{len(files)}.parquet"
            session.export(sql, files[test.name], "parquet")

        yield keep
        for name, path in files.items():
            relation = Relation(FAILURES_SCHEMA, name)
            session.execute(f"create or replace table {relation} as from {literal(str(path))}")
