"""What was typed, and what came of it: the two values that commands and the pipeline exchange."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from segflow.audiences.deliveries import Delivery
from segflow.audiences.update import Updated
from segflow.journal import Result, TestResult


@dataclass(frozen=True)
class Options:
    """What was typed. `now` is the clock, UTC; `as_of` wins over the target's own and over it.

    `approved` says of segments and audiences how many contacts may move though a guard says no.
    """

    command: str
    now: datetime
    project_dir: Path = Path()
    target: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    selected: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    as_of: datetime | None = None
    threads: int | None = None
    full_refresh: bool = False
    store_failures: bool = False
    approved: dict[str, int] = field(default_factory=dict)
    refresh: bool = False
    backfill: bool = False


@dataclass
class Report:
    """What a command did.

    `results` are those of all nodes, audiences too; `kept_since` says how old a node is
    that is not up to date; `empty` names models without rows, `nobody` says of each segment
    without members what it lacks.
    """

    command: str
    project: str
    target: str
    as_of: datetime
    run: int | None = None
    git_commit: str | None = None
    results: list[Result] = field(default_factory=list)
    tests: list[TestResult] = field(default_factory=list)
    updated: Updated = field(default_factory=Updated)
    deliveries: list[Delivery] = field(default_factory=list)
    kept_since: dict[str, datetime | None] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    nobody: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing was held back."""
        return (
            all(result.is_good for result in self.results)
            and all(delivery.state == "ok" for delivery in self.deliveries)
            and all(test.status != "error" for test in self.tests)
        )
