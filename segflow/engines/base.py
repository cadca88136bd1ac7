"""What an engine must do. A run builds on a private copy; readers see it once it is whole."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from segflow.errors import StepError

Column = tuple[str, str]
Row = tuple[Any, ...]

# A schema beside the database for what a run needs only while it lasts; it is never published.
SCRATCH = "memory.main"


class EngineError(StepError):
    """The engine refused a statement; the message is its own, in one line.

    `line` is that of the statement, from 1, where the engine says which it is about.
    """

    line: int | None = None


class Session(Protocol):
    """One cursor: statements run one after the other, and outside `transaction` each on its own.

    Sessions of one engine may be used from different threads at once. All raise EngineError.
    """

    def execute(self, sql: str) -> None: ...

    def rows(self, sql: str) -> list[Row]: ...

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        """Column names and rows."""
        ...

    def columns(self, query: str) -> list[Column]:
        """Names and types of what a SELECT returns, which is not run."""
        ...

    def relation_type(self, schema: str, name: str) -> str | None:
        """`table`, `view`, or None where there is no such relation."""
        ...

    def relations(self) -> dict[tuple[str, str], str]:
        """`table` or `view` of all there are, by schema and name in lower case."""
        ...

    def load_csv(self, relation: str, path: Path, types: Mapping[str, str], delimiter: str) -> None:
        """Replace the table `relation` by a CSV file with a header; other types are inferred."""
        ...

    def export(self, query: str, path: Path, file_format: str) -> int:
        """Write the rows of `query`, in its order, as `csv`, `jsonl` or `parquet`; their number."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """What is done inside happens as a whole, or not at all where an exception leaves it."""
        ...


class Engine(Protocol):
    """A database that is built in private and published whole.

    Between `open_run` and `commit_run` or `discard_run` sessions work on the private copy, else
    they read what was published. `Settings` is the struct that a target's own keys are read as.
    """

    Settings: ClassVar[type]

    def __init__(self, settings: Any, root: Path, threads: int) -> None: ...

    @property
    def location(self) -> Path:
        """Where the published database is; a run's lock lies beside it."""
        ...

    def exists(self) -> bool:
        """Whether anything was ever published."""
        ...

    def open_run(self) -> None: ...

    def commit_run(self) -> None:
        """Publish the private copy: readers see all of it or nothing."""
        ...

    def discard_run(self) -> None: ...

    def session(self) -> AbstractContextManager[Session]: ...

    def abandon_run(self) -> bool:
        """Remove the private copy under running statements, from another thread: the process ends.

        Returns whether there was one.
        """
        ...
