"""`segflow.yml` and the environment in, settings out: no other room reads the environment."""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents
from segflow.project.nodes import Shape, Tree

FILE_NAME = "segflow.yml"
# The two calls that YAML may hold; everything else that Jinja can do belongs to SQL.
_CALL = re.compile(
    r"\{\{\s*(?P<call>env_var|var)\(\s*(['\"])(?P<name>.*?)\2"
    r"\s*(?:,\s*(['\"])(?P<default>.*?)\4\s*)?\)\s*\}\}"
)


class PackageProperties(Shape, frozen=True):
    local: str


class DestinationProperties(Struct, frozen=True, kw_only=True):
    """`name` and `type`; every other key belongs to the type."""

    name: str
    type: str
    description: str = ""


class TargetProperties(Struct, frozen=True, kw_only=True):
    """What every target has; every other key belongs to the engine named by `type`."""

    type: str = "duckdb"
    deliver: bool = False
    destinations: list[str] | None = None
    as_of: Any = None
    threads: int = 2


class ProjectFile(Shape, frozen=True, rename="kebab"):
    name: str
    version: str | float = ""
    description: str = ""
    model_paths: tuple[str, ...] = ("models",)
    seed_paths: tuple[str, ...] = ("seeds",)
    macro_paths: tuple[str, ...] = ("macros",)
    test_paths: tuple[str, ...] = ("tests",)
    target_path: str = "target"
    target: str = "dev"
    vars: dict[str, Any] = {}
    packages: list[PackageProperties] = []
    models: Tree = {}
    seeds: Tree = {}
    sources: Tree = {}
    data_tests: Tree | UnsetType = field(name="data_tests", default=UNSET)
    unit_tests: Tree | UnsetType = field(name="unit_tests", default=UNSET)
    personas: Tree = {}
    goals: Tree = {}
    purposes: Tree = {}
    channels: Tree = {}
    audiences: Tree = {}
    destinations: list[dict[str, Any]] = []
    targets: dict[str, dict[str, Any]] = field(default_factory=lambda: {"dev": {}})

    def tree(self, kind: str) -> Tree:
        """What the folders say of nodes of one kind, as in `models: {starter: {+schema: x}}`."""
        tree = getattr(self, kind)
        return {} if tree is UNSET else tree


class Environment:
    """The environment variables, and which of them are secrets.

    Every value read for a target or a destination is a secret: `scrub` takes it out of any text.
    """

    def __init__(self, values: Mapping[str, str] | None = None):
        self._values = os.environ if values is None else values
        self._secrets: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._values.get(name, default)

    def fill(self, value: Any, location: Location, names: Mapping[str, Any], secret: bool) -> Any:
        """`value` with each `{{ env_var('X') }}` and `{{ var('x') }}` inside replaced.

        `names` are the project's vars. With `secret`, what comes from the environment is one.
        """
        if isinstance(value, dict):
            return {k: self.fill(item, location, names, secret) for k, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, location, names, secret) for item in value]
        if not isinstance(value, str) or "{{" not in value:
            return value

        def lookup(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if match["call"] == "var":
                found = names.get(name, default)
                if found is None:
                    raise ProjectError(f"unknown var `{name}`", location, did_you_mean(name, names))
                return str(found)
            found = self.get(name, default)
            if found is None:
                raise missing_variable(name, location)
            if secret and len(found) > 3:
                self._secrets.add(found)
            return found

        filled = _CALL.sub(lookup, value)
        if "{{" in filled:
            raise ProjectError(
                f"`{value}`: only env_var('…') and var('…') can stand in braces here", location
            )
        return filled

    def scrub(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "*****")
        return text


def missing_variable(name: str, location: Location | None) -> ProjectError:
    return ProjectError(
        f"the environment variable `{name}` is not set",
        location,
        f"export {name}=…, or give a default: env_var('{name}', '…')",
    )


def read_project_file(root: Path) -> ProjectFile:
    """The `segflow.yml` of the project in `root`.

    Raises:
        ProjectError: `root` is no project, or the file has keys or values it cannot have.
    """
    path = root / FILE_NAME
    if not path.is_file():
        raise ProjectError(
            f"`{root}` is not a segflow project: it has no {FILE_NAME}",
            hint="name the folder with --project-dir, or start one: segflow init my_project",
        )
    document = documents.parse(documents.read(path), path)
    file = documents.decode(document, ProjectFile, path)
    if not re.fullmatch(r"[A-Za-z_]\w*", file.name):
        raise ProjectError(
            f"`{file.name}` is no name for a project: letters, digits and _ only",
            documents.locate(path, "$.name"),
        )
    return file


def choose_target(file: ProjectFile, root: Path, name: str | None) -> tuple[str, TargetProperties]:
    """The target named, else the project's default one."""
    chosen = name or file.target
    path = root / FILE_NAME
    if chosen not in file.targets:
        raise ProjectError(
            f"unknown target `{chosen}`",
            documents.locate(path, "$.targets"),
            did_you_mean(chosen, file.targets) or f"targets: {', '.join(file.targets)}",
        )
    at = f"$.targets.{chosen}"
    return chosen, documents.decode(file.targets[chosen], TargetProperties, path, at)


def folder_config(tree: Tree, path: tuple[str, ...]) -> dict[str, Any]:
    """What `+key` entries say of a node at `path` (package, folders, name); deeper ones win.

    `tags` add up and `meta` is merged, as in dbt.
    """
    config: dict[str, Any] = {}
    for layer in _layers(tree, path):
        config = merge(config, layer)
    return config


def _layers(tree: Tree, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    level: Any = tree
    for step in (None, *path):
        level = level if step is None else level.get(step)
        if not isinstance(level, dict):
            return
        yield {key[1:]: value for key, value in level.items() if key.startswith("+")}


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two layers of config as one: `above` wins, but tags add up and meta is merged."""
    merged = {**below, **above}
    if "tags" in below and "tags" in above:
        merged["tags"] = [*_listed(below["tags"]), *_listed(above["tags"])]
    if "meta" in below and "meta" in above:
        merged["meta"] = {**below["meta"], **above["meta"]}
    return merged


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def moment(text: object) -> datetime:
    """A moment in UTC, as `2026-07-01` or `2026-07-01 02:00:00`; a zone given is converted.

    Raises:
        ProjectError: it is no moment.
    """
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise ProjectError(
            f"`{text}` is no moment", hint="write it as 2026-07-01 or '2026-07-01 02:00:00', in UTC"
        ) from None
    offset = found.utcoffset() or timedelta()
    return found.replace(tzinfo=None, microsecond=0) - offset
