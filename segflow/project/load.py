"""A folder in, a `Project` out: every file of the project and of the packages it builds on."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import structs

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents
from segflow.project.cache import Cache, state_of
from segflow.project.config import (
    FILE_NAME,
    Environment,
    Package,
    ProjectFile,
    Target,
    choose_target,
    read_package,
)
from segflow.project.folders import Folders
from segflow.project.nodes import Node, Purpose
from segflow.project.reader import SAID, Contents, Reader

_VAR = re.compile(r"\bvar\(\s*(?:['\"]([^'\"]+)['\"]|(?=[A-Za-z_]))")
_WITH_VARS = (".sql", ".yml", ".yaml")


@dataclass(kw_only=True)
class Project(Contents):
    """All nodes of a project and its packages. The project comes first in `packages`."""

    root: Path
    packages: tuple[Package, ...]
    target: Target
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.packages[0].name

    @property
    def file(self) -> ProjectFile:
        return self.packages[0].file

    @property
    def target_path(self) -> Path:
        """The folder for compiled SQL, the manifest and the log."""
        return self.root / self.file.target_path

    def location(self, pointer: str) -> Location:
        """A place in the project's own segflow.yml."""
        return documents.locate(self.packages[0].path, pointer)


def load(
    root: Path,
    target: str | None = None,
    variables: Mapping[str, Any] | None = None,
    environment: Environment | None = None,
    home: Path | None = None,
) -> Project:
    """Read the project in `root` with the packages it names.

    Args:
        target: the target's name; None is the project's default.
        variables: vars from the command line, which win over those of every file.
        home: where its data files lie, if not beside it.

    Raises:
        ProjectError: a file is broken, says something twice, or names what there is not.
    """
    root = root.resolve()
    packages = tuple(_packages(read_package(root)))
    if home:
        packages = tuple(
            structs.replace(package, home=home / os.path.relpath(package.root, root))
            for package in packages
        )
    merged: dict[str, Any] = {}
    for package in reversed(packages):
        merged.update(package.file.vars)
    merged.update(variables or {})
    project = Project(
        root=root,
        packages=packages,
        target=choose_target(packages[0], target),
        vars=merged,
        environment=environment or Environment(),
        cache=Cache(root / packages[0].file.target_path / "cache.msgpack"),
    )
    _read(project)
    _add_purposes(project)
    _check_names(project)
    _check_vars(project, variables or {})
    return project


def _packages(package: Package, above: tuple[Path, ...] = ()) -> Iterator[Package]:
    """A package, then those it builds on, each once."""
    yield package
    seen = {package.root}
    for index, entry in enumerate(package.file.packages):
        where = f"$.packages[{index}].local"
        path = (package.root / entry.local).resolve()
        if path in (*above, package.root):
            circle = " → ".join(p.name for p in (*above, package.root, path))
            raise ProjectError(
                f"the package `{entry.local}` leads back to itself: {circle}",
                documents.locate(package.path, where),
            )
        used = read_package(path, documents.locate(package.path, where))
        for found in _packages(used, (*above, package.root)):
            if found.root not in seen:
                seen.add(found.root)
                yield found


def _read(project: Project) -> None:
    """Read every package; the project's own folders have the last word on all of them."""
    variables, environment = project.vars, project.environment
    above = Folders(project.packages[0], environment, variables)
    names: dict[str, Package] = {}
    for package in project.packages:
        if package.name in names:
            other = documents.locate(names[package.name].path, "$.name")
            raise ProjectError(
                f"two packages are named `{package.name}`, also {other}",
                documents.locate(package.path, "$.name"),
                "rename one",
            )
        names[package.name] = package
        is_own = package is project.packages[0]
        folders = (above,) if is_own else (Folders(package, environment, variables), above)
        Reader(package, folders, project).read()
    project.warnings += above.misspelt()


def _add_purposes(project: Project) -> None:
    """Two grounds to write on are there in every project, unless it says otherwise of them."""
    own = {purpose.name for purpose in project.purposes}
    own |= {node.rpartition(".")[2] for node in project.disabled if node.startswith("purpose.")}
    where: dict[str, Any] = {"package": project.name, "path": FILE_NAME}
    built_in = (
        Purpose(name="marketing", basis="consent", **where),
        Purpose(name="service", basis="contract", **where),
    )
    project.purposes += [purpose for purpose in built_in if purpose.name not in own]


def _check_names(project: Project) -> None:
    """Names are unique: over all packages for what SQL refers to, within a kind for the rest."""
    for node in (*project.messages, *project.audiences, *project.destinations):
        if not re.fullmatch(r"\w[\w-]*", node.name):
            raise ProjectError(
                f"`{node.name}` is no name for a file: letters, digits, _ and - only", place(node)
            )
    seen: dict[tuple[str, str], Node] = {}
    kinds = ("sources", *SAID, "destinations")
    for node in chain(project.models, project.seeds, *(getattr(project, kind) for kind in kinds)):
        other = seen.setdefault(("model" if node.kind == "seed" else node.kind, node.name), node)
        if other is not node:
            where = place(node)
            both = sorted({f"{one.kind.replace('_', ' ')}s" for one in (node, other)})
            raise ProjectError(
                f"two {' and '.join(both)} are named `{node.name}`, also {place(other)}",
                Location(where.path, where.line or 1),
                "rename one, or disable one with `enabled: false`",
            )


def _check_vars(project: Project, typed: Mapping[str, Any]) -> None:
    """Some file asks for every var by name; one that is typed may also be in a segflow.yml."""
    asked = _asked_vars(project)
    if "" in asked:
        return
    # The runner itself asks for the time zone.
    asked.add("time_zone")
    for name in project.file.vars.keys() - asked - {package.name for package in project.packages}:
        hint = did_you_mean(name, asked)
        text = f"{project.location(f'$.vars.{name}')}: no file asks for the var `{name}`"
        project.warnings.append(f"{text} ({hint})" if hint else text)
    known = {name for package in project.packages for name in package.file.vars} | asked
    for name in typed.keys() - known:
        hint = did_you_mean(name, known) or f"vars: {', '.join(sorted(known)) or 'none'}"
        raise ProjectError(f"no file asks for the var `{name}`", Location(Path("--vars")), hint)


def _asked_vars(project: Project) -> set[str]:
    """The vars that files ask for; a name that only rendering would tell is empty."""
    paths = [path for path in project.files if path.suffix in _WITH_VARS]

    def make() -> set[str]:
        return {name for path in paths for name in _VAR.findall(documents.read(path))}

    return project.cache.get(["asked vars", state_of(paths)], set[str], make)


def place(node: Node, key: str | None = None) -> Location:
    """Where YAML says `key` of a node; without a key its own file, else its name in YAML."""
    file = getattr(node, "file", None)
    if node.origin and (key is not None or not file):
        return node.origin.location(".name" if key is None else key)
    return Location(file or Path(node.path))
