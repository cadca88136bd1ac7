"""Audience tables in, their destinations brought up to date; what was held back keeps what it has.

A target without `deliver: true` reaches nothing but files: there every destination is a folder
under `exports/`, whatever its type.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from segflow.audiences.audiences import key_and_columns, relation_of
from segflow.destinations.file import File, FileSettings
from segflow.engines.base import Engine, Session
from segflow.errors import ProjectError, StepError
from segflow.project.load import Project
from segflow.project.nodes import Audience, Destination

FOLDER = "exports"


@dataclass(frozen=True)
class Delivery:
    """How one audience's delivery ended: `state` is `ok`, `held` or `error`."""

    audience: str
    destination: str
    state: str
    rows: int | None = None
    path: str | None = None
    message: str = ""


def open_destinations(project: Project) -> dict[str, File]:
    """The destinations of the chosen target by name, settings checked.

    Raises:
        ProjectError: a type is unknown, or a setting is.
    """
    return {node.name: _open(project, node) for node in project.destinations}


def deliver(
    engine: Engine,
    audiences: list[Audience],
    held: dict[str, str],
    destinations: dict[str, File],
    root: Path,
) -> list[Delivery]:
    """Deliver each audience from the published database, except those `held`, by name and reason."""
    deliveries = []
    for audience in audiences:
        destination = destinations[audience.destination]
        if audience.name in held:
            reason = held[audience.name]
            destination.keep(audience.name, reason)
            delivery = Delivery(audience.name, audience.destination, "held", message=reason)
        else:
            with engine.session() as session:
                delivery = _deliver(session, audience, destination, root)
        deliveries.append(delivery)
    return deliveries


def _deliver(session: Session, audience: Audience, destination: File, root: Path) -> Delivery:
    """Deliver one audience. Whatever goes wrong with it stays with it."""
    relation = str(relation_of(audience))
    key, _ = key_and_columns(audience)
    try:
        run, as_of = _built_by(session, relation)
        columns = session.columns(f"select * from {relation}")
        query = destination.query(relation, columns, key)
        path = destination.write(
            audience.name,
            lambda path: session.export(query, path, destination.format),
            {"as_of": as_of, "run": run, "state": "fresh"},
        )
        rows = int(session.rows(f"select count(*) from {relation}")[0][0])
    except StepError as error:
        return Delivery(audience.name, audience.destination, "error", message=str(error))
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


def _open(project: Project, node: Destination) -> File:
    folder = project.root / FOLDER / node.name
    if node.type != "file":
        raise ProjectError(
            f"unknown type `{node.type}` of the destination `{node.name}`",
            node.origin.location(".type") if node.origin else None,
            "there is: file",
        )
    try:
        settings = msgspec.convert(node.settings, FileSettings)
    except msgspec.ValidationError as error:
        where = node.origin.location() if node.origin else None
        raise ProjectError(f"the destination `{node.name}`: {error}", where) from None
    return File(settings, folder)
