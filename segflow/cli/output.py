"""Reports in, JSON out: one shape for every command."""

from typing import Any

import msgspec

from segflow import __version__
from segflow.report import Report


def as_json(
    command: str,
    results: dict[str, Any],
    report: Report | None = None,
    errors: list[str] | None = None,
) -> str:
    """`{"command", "version", "as_of", "run", "ok", "results", "errors"}`, in that order."""
    found = list(errors or [])
    if report:
        found += [f"{r.name}: {r.message}" for r in report.results if r.status == "error"]
        found += [f"{t.name}: {t.message}" for t in report.tests if t.status == "error"]
        found += [f"{d.audience}: {d.message}" for d in report.deliveries if d.state == "error"]
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


def results_of(report: Report) -> dict[str, Any]:
    """The parts of a report, as lists of records."""
    return {
        "target": report.target,
        "git_commit": report.git_commit,
        "nodes": report.results,
        "tests": report.tests,
        "segments": report.updated.movements,
        "stages": report.updated.stages,
        "audiences": report.updated.audiences,
        "guards": report.updated.watched.trips,
        "deliveries": report.deliveries,
        "empty": report.empty,
        "nobody": report.nobody,
        "warnings": report.warnings,
    }
