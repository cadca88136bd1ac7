"""A project's target in; its engine, its lock, and the two ways to open its database out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segflow import journal
from segflow.engines.base import Engine, Session
from segflow.errors import ProjectError, WorkspaceError, did_you_mean
from segflow.project import documents
from segflow.project.config import FILE_NAME
from segflow.project.load import Project


def open_engine(project: Project, threads: int | None = None) -> Engine:
    """The engine of the project's target, by its entry point.

    Raises:
        ProjectError: the target's type is unknown, or a setting is wrong.
    """
    # Compiling needs no engine, and what finds one is slow to load.
    from importlib.metadata import entry_points

    target = project.target
    found = {entry.name: entry for entry in entry_points(group="segflow.engines")}
    kind, at = target.properties.type, f"$.targets.{target.name}"
    if kind not in found:
        raise ProjectError(
            f"unknown engine `{kind}`",
            project.location(f"{at}.type"),
            did_you_mean(kind, found) or f"there is: {', '.join(sorted(found))}",
        )
    fill = project.environment.fill
    settings = fill(target.settings, project.location(at), project.vars, secret=True)
    plug_in: type[Engine] = found[kind].load()
    path = project.packages[0].root / FILE_NAME
    decoded: object = documents.decode(settings, plug_in.Settings, path, at)
    return plug_in(decoded, project.root, threads or target.properties.threads)


@contextmanager
def published(engine: Engine) -> Iterator[Session]:
    """A session on what was last published.

    Raises:
        WorkspaceError: nothing was published yet.
    """
    if not engine.exists():
        raise WorkspaceError(f"there is no {engine.location} yet", hint="segflow run")
    try:
        with engine.session() as session:
            journal.check_version(session)
            yield session
    finally:
        engine.discard_run()


# The engines that work on a private copy at this moment.
_building: list[Engine] = []


@contextmanager
def private_copy(engine: Engine) -> Iterator[None]:
    """Work on a private copy, which is thrown away unless it was published."""
    _building.append(engine)
    try:
        engine.open_run()
        yield
    finally:
        _building.remove(engine)
        engine.discard_run()


def abandon_runs() -> int:
    """Remove all private copies, whoever works on them: the process ends. Returns how many."""
    return sum(engine.abandon_run() for engine in _building)


@contextmanager
def locked(database: Path, command: str) -> Iterator[None]:
    """Hold the lock of a database. The kernel frees it when the process ends, however it ends.

    Raises:
        WorkspaceError: another process holds it.
    """
    path = database.with_name(f"{database.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise WorkspaceError(f"cannot write to {path.parent}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise WorkspaceError(
                f"{database} is being built by {holder}",
                hint="wait for it to end; readers need not wait",
            ) from None
        file.truncate(0)
        file.write(f"`segflow {command}`, process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield
