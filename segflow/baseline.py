"""What a plan is compared with: the project as it was when each of its nodes was last built."""

import io
import os
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segflow import journal
from segflow.compile.changes import Changes, changes, joined
from segflow.engines.base import Engine
from segflow.errors import ProjectError
from segflow.pipeline import Compiled, compile_loaded
from segflow.project import archive
from segflow.project.load import load
from segflow.report import Options

# The files of a project by name, each with a checksum.
Files = dict[str, int]


@dataclass(frozen=True)
class State:
    """The project as it was when some nodes were last built."""

    compiled: Compiled
    files: Files
    nodes: frozenset[str]


@dataclass(frozen=True)
class Base:
    """What is compared with: the state that each node was last built in, the newest state last.

    `run` is the last one, None with `--state`; `moments` are those of the last good evaluation of
    each segment, by id.
    """

    states: tuple[State, ...]
    run: journal.Run | None = None
    moments: dict[str, datetime] = field(default_factory=dict)

    @property
    def newest(self) -> Compiled:
        return self.states[-1].compiled

    def of(self, node: str) -> State:
        """What the node was last built in; the newest where that is not known of it."""
        return next((state for state in self.states if node in state.nodes), self.states[-1])

    def segments(self) -> dict[str, tuple[State, datetime]]:
        """The segments by name, each with its state and the moment of its last evaluation."""
        return {
            name: (state, self.moments[segment.id])
            for state in self.states
            for name, segment in state.compiled.graph.segments.items()
            if self.of(segment.id) is state
        }

    def changes(self, now: Compiled) -> Changes:
        """What the project says now that it did not say when each node was last built."""
        *older, newest = (
            (
                s.nodes,
                changes((s.compiled.graph, s.compiled.compilation), (now.graph, now.compilation)),
            )
            for s in self.states
        )
        return joined(newest[1], older)


def last_built(compiled: Compiled, engine: Engine, folder: Path) -> Base | None:
    """What the published database was made by, None where there is none.

    Raises:
        ProjectError: some of it does not compile any more.
        WorkspaceError: the database cannot be opened.
    """
    if not engine.exists():
        return None
    try:
        with engine.session() as session:
            journal.check_version(session)
            run, kept = journal.last_run(session), journal.kept_projects(session)
            moments = {n: s.as_of for n, s in journal.statuses(session).items() if s.as_of}
    finally:
        engine.discard_run()
    if run is None or not kept:
        return None
    states = [
        _unpacked(
            compiled, one.archive, run.target, one.variables, folder / str(one.run), one.nodes
        )
        for one in kept
    ]
    return Base((*states[:-1], _built(states[-1], moments)), run, moments)


def of_folder(compiled: Compiled, options: Options, state: Path, folder: Path) -> Base:
    """What the artifacts in `state` are of; it is unpacked into `folder`.

    Raises:
        ProjectError: there are none, or they do not compile any more.
    """
    path = state / archive.NAME
    if not path.is_file():
        hint = "name the target folder of an earlier `segflow compile` or `segflow run`"
        if (state / "manifest.json").is_file():
            hint = "manifest.json alone is not enough: copy both, as `segflow compile` left them"
        raise ProjectError(f"--state {state}: there is no {archive.NAME} in it", hint=hint)
    packed = path.read_bytes()
    return Base((_unpacked(compiled, packed, options.target, options.variables, folder),))


def of_ref(compiled: Compiled, options: Options, ref: str, folder: Path) -> Compiled:
    """The whole project as it was at a git ref; its repository is unpacked into `folder`.

    Raises:
        ProjectError: there is no such ref, or it does not compile any more.
    """
    root = compiled.project.root
    top = root / _git(ref, root, "rev-parse", "--show-cdup").decode().strip()
    packed = _git(ref, top, "archive", "--format=zip", ref)
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        files.extractall(folder)
    there = folder / os.path.relpath(root, top)
    return _compiled(compiled, there, options.target, options.variables)


def _git(ref: str, folder: Path, *words: str) -> bytes:
    try:
        found = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except OSError:
        found = None
    if found is None or found.returncode:
        said = found.stderr.decode().strip().partition("\n")[0] if found else "git is not installed"
        raise ProjectError(f"`{ref}` is no file, and no git ref", hint=said)
    return found.stdout


def modified(compiled: Compiled, options: Options, state: Path) -> set[str]:
    """The ids of nodes that are new, or say something else than in an earlier state."""
    with TemporaryDirectory() as folder:
        return of_folder(compiled, options, state, Path(folder)).changes(compiled).modified


def files_of(compiled: Compiled, folder: Path) -> Files:
    path = folder / archive.NAME
    archive.pack(compiled.project, path)
    return archive.contents(path.read_bytes())


def _built(state: State, moments: Mapping[str, datetime]) -> State:
    """A state without models that no run has built so far: they are new."""
    graph = state.compiled.graph
    built = {
        node: model
        for node, model in graph.models.items()
        if node in moments or model.config.materialized == "ephemeral"
    }
    return replace(state, compiled=replace(state.compiled, graph=replace(graph, models=built)))


def _unpacked(
    compiled: Compiled,
    packed: bytes,
    target: str | None,
    variables: Mapping[str, Any],
    folder: Path,
    nodes: frozenset[str] = frozenset(),
) -> State:
    found = _compiled(compiled, archive.unpack(packed, folder), target, variables)
    return State(found, archive.contents(packed), nodes)


def _compiled(
    compiled: Compiled, root: Path, target: str | None, variables: Mapping[str, Any]
) -> Compiled:
    """An earlier state of the project, which was unpacked into `root`."""
    now = compiled.project
    try:
        return compile_loaded(load(root, target, variables, now.environment, now.root))
    except ProjectError as error:
        raise ProjectError(
            f"the earlier state of the project does not compile any more: {error.message}",
            error.location,
            error.hint,
        ) from None
