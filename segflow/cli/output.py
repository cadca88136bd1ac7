"""Reports and events in, plain text out: JSON, tables, and the lines of `target/segflow.log`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from segflow import __version__
from segflow.build.plan import Plan, Step
from segflow.build.runner import Watch
from segflow.build.steps import Result
from segflow.report import Report


def as_json(
    command: str,
    results: dict[str, Any],
    report: Report | None = None,
    errors: list[str] | None = None,
) -> str:
    """`{"command", "version", "as_of", "run", "ok", "results", "errors"}`, in that order."""
    found = [*(errors or []), *(errors_of(report) if report else [])]
    body = {
        "command": command,
        "version": __version__,
        "as_of": report.as_of if report else None,
        "run": report.run if report else None,
        "ok": report.ok if report else not errors,
        "results": results,
        "errors": found,
    }
    return msgspec.json.encode(body, enc_hook=str).decode()


def errors_of(report: Report) -> list[str]:
    """What failed, and what a guard stopped; not what only waits for it."""
    stopped = [r for r in report.results if r.status == "held" and r.because == (r.node,)]
    found = [f"{r.name}: {r.message}" for r in report.results if r.status == "error"]
    found += [f"{r.name}: {r.message}" for r in stopped]
    found += [f"{t.name}: {t.message}" for t in report.tests if t.status == "error"]
    found += [f"{d.audience}: {d.message}" for d in report.deliveries if d.state == "error"]
    return found


def results_of(report: Report) -> dict[str, Any]:
    """The parts of a report, as lists of records."""
    return {
        "target": report.target,
        "git_commit": report.git_commit,
        "nodes": report.results,
        "tests": report.tests,
        "segments": report.updated.movements,
        "stages": report.updated.stages,
        "messages": report.updated.decided,
        "audiences": report.updated.audiences,
        "guards": report.updated.watched.trips,
        "deliveries": report.deliveries,
        "empty": report.empty,
        "nobody": report.nobody,
        "warnings": report.warnings,
    }


def table(names: list[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """Rows under their names, as wide as they are."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(n), *(len(row[i]) for row in cells), 0) if cells else len(n)
        for i, n in enumerate(names)
    ]
    yield "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip()
    yield "  ".join("─" * width for width in widths)
    for row in cells:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def emptiness(empty: list[str], nobody: dict[str, str]) -> Iterator[str]:
    """Models without rows, and segments without members with what they lack."""
    if empty:
        yield f"Empty     {', '.join(empty)}"
    for name, why in nobody.items():
        yield f"Nobody    in {name}" + (f": {why}" if why else "")


def logged(path: Path, command: str, watch: Watch) -> Watch:
    """`watch`, and a line in the log for the plan and every result. Times are UTC."""

    def write(text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")

    def both(event: Plan | Step | Result) -> None:
        if isinstance(event, Plan):
            write(f"segflow {command}: {len(event.steps)} steps")
        elif isinstance(event, Result):
            message = f": {event.message}" if event.message else ""
            write(f"{event.status} {event.node} {event.seconds:.3f} s{message}")
        watch(event)

    return both


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
