"""`segflow.yml` and the environment in, settings out. Nothing else reads the environment."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Struct, field

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents
from segflow.project.properties import Shape, Tree

FILE_NAME = "segflow.yml"
# The two calls that YAML may hold; everything else that Jinja can do belongs to SQL.
_CALL = re.compile(
    r"\{\{\s*(?P<call>env_var|var)\(\s*(['\"])(?P<name>.*?)\2"
    r"\s*(?:,\s*(?:(['\"])(?P<default>.*?)\4|(?P<word>[\w.-]+))\s*)?\)\s*\}\}"
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
    threads: Annotated[int, msgspec.Meta(ge=1)] = 2


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
    data_tests: Tree = field(name="data_tests", default_factory=dict)
    unit_tests: Tree = field(name="unit_tests", default_factory=dict)
    personas: Tree = {}
    goals: Tree = {}
    purposes: Tree = {}
    channels: Tree = {}
    messages: Tree = {}
    audiences: Tree = {}
    destinations: list[dict[str, Any]] = []
    targets: dict[str, dict[str, Any]] = field(default_factory=lambda: {"dev": {}})


class Package(Struct, frozen=True):
    """One folder with a segflow.yml: the project itself, or one that it builds on.

    `home` is where the paths of its data files start: its root, unless it was put elsewhere.
    """

    root: Path
    file: ProjectFile
    home: Path

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def path(self) -> Path:
        """Its segflow.yml."""
        return self.root / FILE_NAME


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

        A `{{ var('x') }}` that stands alone keeps its type. `names` are the project's vars. With
        `secret`, what comes from the environment is one.
        """
        if isinstance(value, dict):
            return {k: self.fill(item, location, names, secret) for k, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, location, names, secret) for item in value]
        if not isinstance(value, str) or "{{" not in value:
            return value

        def look_up(match: re.Match[str]) -> Any:
            name = match["name"]
            default = _word(match["word"]) if match["word"] else match["default"]
            if match["call"] == "var":
                found = names.get(name, default)
                if found is None:
                    raise unknown_var(name, names, location)
                return found
            found = self.get(name, default)
            if found is None:
                raise missing_variable(name, location)
            if secret and len(str(found)) > 3:
                self._secrets.add(str(found))
            return found

        alone = _CALL.fullmatch(value.strip())
        if alone:
            return look_up(alone)
        filled = _CALL.sub(lambda match: str(look_up(match)), value)
        if "{{" in filled:
            raise ProjectError(
                f"`{value}`: only env_var('…') and var('…') can stand in braces here", location
            )
        return filled

    def scrub(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "*****")
        return text


def _word(text: str) -> Any:
    """A default without quotes, as in `var('days', 30)`."""
    try:
        return msgspec.json.decode(text.lower())
    except msgspec.DecodeError:
        return text


def missing_variable(name: str, location: Location | None) -> ProjectError:
    return ProjectError(
        f"the environment variable `{name}` is not set",
        location,
        f"export {name}=…, or give a default: env_var('{name}', '…')",
    )


def unknown_var(name: str, names: Mapping[str, Any], location: Location | None) -> ProjectError:
    near = did_you_mean(name, names)
    return ProjectError(
        f"unknown var `{name}`", location, near or f"add it to `vars` in {FILE_NAME}: {name}: …"
    )


def read_package(root: Path, named_at: Location | None = None) -> Package:
    """The project in `root`, by its segflow.yml.

    Args:
        named_at: the place that names it, where another project does.

    Raises:
        ProjectError: `root` is no project, or the file has keys or values it cannot have.
    """
    path = root / FILE_NAME
    if not path.is_file():
        raise ProjectError(
            f"`{root}` is not a segflow project: it has no {FILE_NAME}",
            named_at,
            "give the path of a folder with one, as seen from here"
            if named_at
            else "name the folder with --project-dir, or start one: segflow init my_project",
        )
    document = documents.parse(documents.read(path), path)
    file = documents.decode(document, ProjectFile, path)
    if not re.fullmatch(r"[A-Za-z_]\w*", file.name):
        raise ProjectError(
            f"`{file.name}` is no name for a project: letters, digits and _ only",
            documents.locate(path, "$.name"),
        )
    return Package(root, file, root)


class Target(Struct, frozen=True):
    """Where a run writes. `settings` are the engine's own keys, still with env_var inside."""

    name: str
    properties: TargetProperties
    settings: dict[str, Any]


def choose_target(package: Package, name: str | None) -> Target:
    """The target named, else the project's default one."""
    file, path = package.file, package.path
    chosen = name or file.target
    if chosen not in file.targets:
        raise ProjectError(
            f"unknown target `{chosen}`",
            documents.locate(path, "$.targets" if name else "$.target"),
            did_you_mean(chosen, file.targets) or f"targets: {', '.join(file.targets)}",
        )
    at = f"$.targets.{chosen}"
    properties = documents.decode(file.targets[chosen], TargetProperties, path, at)
    if properties.as_of is not None:
        moment(properties.as_of, lambda: documents.locate(path, f"{at}.as_of"))
    known = TargetProperties.__struct_fields__
    return Target(
        chosen, properties, {k: v for k, v in file.targets[chosen].items() if k not in known}
    )


def moment(text: object, locate: Callable[[], Location] | None = None) -> datetime:
    """A moment in UTC, as `2026-07-01` or `2026-07-01 02:00:00`; a zone given is converted.

    Args:
        locate: says where `text` stands; only an error asks.

    Raises:
        ProjectError: it is no moment.
    """
    try:
        found = datetime.fromisoformat(str(text))
        offset = found.utcoffset() or timedelta()
        return found.replace(tzinfo=None, microsecond=0) - offset
    except (ValueError, OverflowError):
        raise ProjectError(
            f"`{text}` is no moment",
            locate() if locate else None,
            "write it as 2026-07-01 or '2026-07-01 02:00:00', in UTC",
        ) from None
