"""Reports and events in, plain text out: JSON, tables, and the lines of `target/segflow.log`."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from segflow import __version__
from segflow.audiences.guards import Trip
from segflow.build.plan import Plan, Step
from segflow.build.runner import Watch
from segflow.journal import Result
from segflow.report import Report

OWED = "owed by contract: no consent, cap, quiet hours or control group applies"
# Where more is stopped than this, nobody should let it through by one line.
_APPROVED_AT_ONCE = 5
_SHOWN_STOPPED = 8


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
        "waiting": report.updated.waiting,
        "audiences": report.updated.audiences,
        "guards": report.updated.watched.trips,
        "deliveries": report.deliveries,
        "empty": report.empty,
        "nobody": report.nobody,
        "warnings": report.warnings,
    }


def ways_on(
    trips: Iterable[Trip], shared: list[str], command: str, guarded: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What to do about what guards stop: when, and what. Where that is much, first to look.

    Args:
        shared: what all of it stands on.
        guarded: where the project says the guards, by name.
    """
    most: dict[str, int] = {}
    for trip in trips:
        most[trip.name] = max(trip.moved, most.get(trip.name, 0))
    if not most:
        return
    if len(most) > _APPROVED_AT_ONCE:
        named = sorted(most, key=lambda name: (-most[name], name))
        listed = some([f"{name} {most[name]:,}" for name in named], _SHOWN_STOPPED)
        yield f"{len(most)} are stopped", listed
        yield from (("all of them stand on it", said) for said in shared)
        yield "if that is right", "approve each by its name: --approve NAME=CEILING"
    else:
        approvals = " ".join(f"--approve {name}={moved}" for name, moved in most.items())
        yield "if that is right", f"segflow {command} {approvals}"
        if guarded:
            listed = ", ".join(f"{name} in {at}" for name, at in guarded.items())
            yield "or raise the guard", listed
    if command == "retry":
        yield "who would move, and why", "segflow plan"


def way(when: str, what: str) -> str:
    return f"  {when:<32}  {what}"


def some(names: list[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
