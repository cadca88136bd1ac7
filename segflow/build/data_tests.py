"""A compiled test in, how many rows are wrong out."""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segflow.compile.relations import Relation, literal
from segflow.engines.base import EngineError, Session
from segflow.errors import StepError
from segflow.project.nodes import DataTest

FAILURES_SCHEMA = "test_failures"


@dataclass(frozen=True)
class TestResult:
    """`status` is `pass`, `warn` or `error`; `failures` counts the rows that are wrong."""

    node: str
    name: str
    status: str
    failures: int
    message: str = ""


def run_test(session: Session, test: DataTest, sql: str) -> TestResult:
    """Count the rows that `sql` returns and judge them by the test's own limits.

    Raises:
        StepError: the engine refuses the test itself.
    """
    config = test.config
    try:
        failures, is_error, is_warning = session.rows(
            f"select failures, failures {config.error_if}, failures {config.warn_if}"
            f" from (select count(*) as failures from (\n{sql}\n))"
        )[0]
    except EngineError as error:
        raise StepError(f"the test {test.name} cannot run: {error.message}") from None
    strict = config.severity.lower() == "error"
    status = "error" if strict and is_error else "warn" if is_warning else "pass"
    message = ""
    if status != "pass":
        message = f"{test.name}: {failures:,} row{'' if failures == 1 else 's'}"
        if test.description:
            message += f" ({test.description})"
    return TestResult(test.id, test.name, status, int(failures), message)


class Failures:
    """Rows that failed tests, held in files while the transaction around them may be undone."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, Path] = {}

    def take(self, session: Session, test: DataTest, sql: str) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="segflow-")
        path = Path(self._folder.name) / f"{len(self._files)}.parquet"
        session.export(sql, path, "parquet")
        self._files[test.name] = path

    def store(self, session: Session) -> None:
        """Keep them as tables in the schema `test_failures`; of a test that passed an empty one."""
        for name, path in self._files.items():
            relation = Relation(FAILURES_SCHEMA, name)
            session.execute(f"create or replace table {relation} as from {literal(str(path))}")

    def __enter__(self) -> "Failures":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()
