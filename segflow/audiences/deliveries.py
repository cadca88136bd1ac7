"""Audience tables in, their destinations brought up to date; what was held back keeps what it has.

A target without `deliver: true` reaches nothing but files: there every destination is a folder
under `exports/`, whatever its type.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from segflow.audiences.audiences import key_and_columns, relation_of
from segflow.destinations.file import File, FileSettings
from segflow.engines.base import Engine, Session
from segflow.errors import ProjectError, StepError, did_you_mean
from segflow.project import documents
from segflow.project.load import Project
from segflow.project.nodes import Audience, Destination

FOLDER = "exports"
_TYPES = ("file",)


@dataclass(frozen=True)
class Delivery:
    """How one audience's delivery ended: `state` is `ok`, `held` or `error`."""

    audience: str
    destination: str
    state: str
    rows: int | None = None
    path: str | None = None
    message: str = ""


def check_destinations(project: Project) -> None:
    """Check what can be checked without secrets: compiling and planning need none.

    Raises:
        ProjectError: a type is unknown, or a setting is.
    """
    for node in project.destinations:
        given = {k: v for k, v in node.settings.items() if "{{" not in str(v)}
        _open(project, node, given)


def open_destinations(project: Project) -> dict[str, File]:
    """The destinations of the chosen target by name.

    Raises:
        ProjectError: a type or a setting is unknown, or an environment variable is not set.
    """
    return {node.name: _open(project, node, node.settings) for node in project.destinations}


def deliver(
    engine: Engine,
    audiences: list[Audience],
    held: dict[str, str],
    destinations: dict[str, File],
    root: Path,
) -> list[Delivery]:
    """Deliver each audience from what is published, except those `held`, by name and reason.

    A destination that was brought up to date as a whole forgets what is no longer sent there.
    """
    made = []
    for audience in audiences:
        try:
            destination = destinations[audience.destination]
            if audience.name in held:
                made.append(_keep(audience, destination, held[audience.name]))
            else:
                with engine.session() as session:
                    made.append(_deliver(session, audience, destination, root))
        except StepError as error:
            made.append(Delivery(audience.name, audience.destination, "error", message=str(error)))
    for destination in destinations.values():
        if destination.is_whole({audience.name for audience in audiences}):
            destination.forget()
    return made


def _keep(audience: Audience, destination: File, reason: str) -> Delivery:
    destination.keep(audience.name, reason)
    return Delivery(audience.name, audience.destination, "held", message=reason)


def _deliver(session: Session, audience: Audience, destination: File, root: Path) -> Delivery:
    relation = str(relation_of(audience))
    key, _ = key_and_columns(audience)
    run, as_of = _built_by(session, relation)
    query = destination.query(relation, session.columns(f"select * from {relation}"), key)
    path, rows = destination.write(
        audience.name,
        lambda path: session.export(query, path, destination.format),
        {"as_of": as_of, "run": run, "state": "fresh"},
    )
    shown = path.relative_to(root).as_posix()
    return Delivery(audience.name, audience.destination, "ok", rows, shown)


def _built_by(session: Session, relation: str) -> tuple[int, datetime]:
    """The run, and its moment, that built an audience's table."""
    rows = session.rows(
        f"select run, as_of from segments.status where relation = '{relation}' and run is not null"
    )
    if not rows:
        raise StepError(f"{relation} was never built", hint="segflow build")
    return rows[0]


def _open(project: Project, node: Destination, given: dict[str, Any]) -> File:
    folder = project.root / FOLDER / node.name
    origin = node.origin
    assert origin is not None
    if node.type not in _TYPES:
        raise ProjectError(
            f"unknown type `{node.type}` of the destination `{node.name}`",
            origin.location(".type"),
            did_you_mean(node.type, _TYPES) or f"there is: {', '.join(_TYPES)}",
        )
    filled = project.environment.fill(given, origin.location(), project.vars, secret=True)
    settings = documents.decode(filled, FileSettings, origin.path, origin.pointer)
    audiences = frozenset(a.name for a in project.audiences if a.destination == node.name)
    return File(settings, folder, audiences)
