"""A folder in, a `Project` out: every file of the project and of the packages it builds on."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents, files, nodes, tests
from segflow.project.config import (
    FILE_NAME,
    DestinationProperties,
    Environment,
    ProjectFile,
    TargetProperties,
    choose_target,
    folder_config,
    merge,
    read_project_file,
)
from segflow.project.nodes import Node, Origin, tag_tuple


@dataclass(frozen=True)
class Package:
    """One folder with a segflow.yml: the project itself, or one that it builds on."""

    root: Path
    file: ProjectFile

    @property
    def name(self) -> str:
        return self.file.name


@dataclass(frozen=True)
class Target:
    """Where a run writes. `settings` are the engine's own keys, still with env_var inside."""

    name: str
    properties: TargetProperties
    settings: dict[str, Any]


@dataclass
class Project:
    """All nodes of a project and its packages. The project comes first in `packages`."""

    root: Path
    packages: tuple[Package, ...]
    target: Target
    vars: dict[str, Any]
    environment: Environment
    models: list[nodes.Model] = field(default_factory=list)
    seeds: list[nodes.Seed] = field(default_factory=list)
    sources: list[nodes.Source] = field(default_factory=list)
    macros: list[nodes.MacroFile] = field(default_factory=list)
    data_tests: list[nodes.DataTest] = field(default_factory=list)
    unit_tests: list[nodes.UnitTest] = field(default_factory=list)
    personas: list[nodes.Persona] = field(default_factory=list)
    goals: list[nodes.Goal] = field(default_factory=list)
    purposes: list[nodes.Purpose] = field(default_factory=list)
    channels: list[nodes.Channel] = field(default_factory=list)
    audiences: list[nodes.Audience] = field(default_factory=list)
    destinations: list[nodes.Destination] = field(default_factory=list)

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
        return documents.locate(self.root / FILE_NAME, pointer)


def load(
    root: Path,
    target: str | None = None,
    variables: Mapping[str, Any] | None = None,
    environment: Environment | None = None,
) -> Project:
    """Read the project in `root` with the packages it names.

    Args:
        target: the target's name; None is the project's default.
        variables: vars from the command line, which win over those of every file.

    Raises:
        ProjectError: a file is broken, says something twice, or names what there is not.
    """
    root = root.resolve()
    packages = tuple(_packages(root))
    file = packages[0].file
    name, properties = choose_target(file, root, target)
    known = set(TargetProperties.__struct_fields__)
    settings = {k: v for k, v in file.targets[name].items() if k not in known}
    merged: dict[str, Any] = {}
    for package in reversed(packages):
        merged.update(package.file.vars)
    merged.update(variables or {})
    project = Project(
        root,
        packages,
        Target(name, properties, settings),
        merged,
        environment or Environment(),
    )
    for package in packages:
        _Reader(project, package).read()
    _check_names(project)
    return project


def _packages(root: Path, seen: tuple[Path, ...] = ()) -> Iterator[Package]:
    """The package in `root`, then those it builds on, each once."""
    file = read_project_file(root)
    yield Package(root, file)
    for index, entry in enumerate(file.packages):
        path = (root / entry.local).resolve()
        if path in (*seen, root):
            raise ProjectError(
                f"the package `{entry.local}` leads back to itself",
                documents.locate(root / FILE_NAME, f"$.packages[{index}]"),
            )
        yield from _packages(path, (*seen, root))


class _Reader:
    """Reads one package into a project."""

    def __init__(self, project: Project, package: Package):
        self.project = project
        self.package = package
        self.root = package.root
        self.file = package.file
        self.models: dict[str, tuple[nodes.ModelProperties, Origin]] = {}
        self.seeds: dict[str, tuple[nodes.ModelProperties, Origin]] = {}
        self.singular: dict[str, nodes.SingularTestProperties] = {}

    def read(self) -> None:
        file = self.file
        folders = [*file.model_paths, *file.seed_paths, *file.macro_paths, *file.test_paths]
        for path in files.below(self.root, folders, ".yml", ".yaml"):
            self._properties(path)
        for path in files.below(self.root, file.macro_paths, ".sql"):
            self._macro(path)
        for path in files.below(self.root, file.model_paths, ".sql"):
            self._model(path)
        for path in files.below(self.root, file.seed_paths, ".csv"):
            self._seed(path)
        for path in files.below(self.root, file.test_paths, ".sql"):
            self._singular_test(path)
        self._destinations()
        for kind, left in (("model", self.models), ("seed", self.seeds)):
            for name, (_, origin) in left.items():
                raise ProjectError(
                    f"there is no {kind} file for `{name}`",
                    origin.location(".name"),
                    did_you_mean(name, [n.name for n in self._all(f"{kind}s")])
                    or f"add {name}.{'sql' if kind == 'model' else 'csv'}, or drop the entry",
                )

    def _all(self, kind: str) -> Iterable[Node]:
        nodes_of_kind: list[Node] = getattr(self.project, kind)
        return nodes_of_kind

    def _properties(self, path: Path) -> None:
        document = documents.parse(documents.read(path), path)
        read = documents.decode(document, nodes.Properties, path)
        for kind, found in (("models", self.models), ("seeds", self.seeds)):
            for index, item in enumerate(getattr(read, kind)):
                origin = Origin(path, f"$.{kind}[{index}]")
                if item.name in found:
                    raise ProjectError(
                        f"`{item.name}` is described twice, also in "
                        f"{found[item.name][1].location('.name')}",
                        origin.location(".name"),
                    )
                found[item.name] = (item, origin)
        self.singular.update({test.name: test for test in read.data_tests})
        for index, source in enumerate(read.sources):
            self._source(source, Origin(path, f"$.sources[{index}]"))
        for index, test in enumerate(read.unit_tests):
            self._unit_test(test, Origin(path, f"$.unit_tests[{index}]"))
        for kind in ("personas", "goals", "purposes", "channels", "audiences"):
            for index, item in enumerate(getattr(read, kind)):
                self._plain(kind, item, index, Origin(path, f"$.{kind}[{index}]"))

    def _config(self, kind: str, folders: tuple[str, ...], own: dict[str, Any]) -> dict[str, Any]:
        """Config of a node: its package's folders, the project's folders, then its own YAML."""
        place = (self.package.name, *folders)
        config = folder_config(self.file.tree(kind), place)
        if self.package.root != self.project.root:
            config = merge(config, folder_config(self.project.file.tree(kind), place))
        return merge(config, own)

    def _common(self, path: Path, name: str, origin: Origin | None) -> dict[str, Any]:
        relative = path.relative_to(self.root).as_posix()
        return {"name": name, "package": self.package.name, "path": relative, "origin": origin}

    def _macro(self, path: Path) -> None:
        self.project.macros.append(nodes.MacroFile(self.package.name, path, documents.read(path)))

    def _model(self, path: Path) -> None:
        name = path.stem
        said, origin = self.models.pop(name, (nodes.ModelProperties(name=name), None))
        folders = files.folders_of(path, self.root, self.file.model_paths)
        own = merge({"meta": said.meta} if said.meta else {}, said.config)
        if origin:
            documents.decode(own, nodes.ModelConfig, origin.path, f"{origin.pointer}.config")
        config = self._config("models", (*folders, name), own)
        if config.get("enabled", True):
            self.project.models.append(
                nodes.Model(
                    **self._common(path, name, origin),
                    description=said.description.strip(),
                    file=path,
                    text=documents.read(path),
                    config=config,
                    columns=tuple(said.columns),
                )
            )
            self._data_tests(said, origin, f"model.{self.package.name}.{name}")

    def _seed(self, path: Path) -> None:
        name = path.stem
        said, origin = self.seeds.pop(name, (nodes.ModelProperties(name=name), None))
        folders = files.folders_of(path, self.root, self.file.seed_paths)
        layers = self._config("seeds", (*folders, name), said.config)
        at = origin or Origin(self.root / FILE_NAME, "$.seeds")
        config = documents.decode(layers, nodes.SeedConfig, at.path, f"{at.pointer}.config")
        if not config.enabled:
            return
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = tuple(next(csv.reader(lines, delimiter=config.delimiter), ()))
        _check_seed_columns(config, header, path, at)
        self.project.seeds.append(
            nodes.Seed(
                **self._common(path, name, origin),
                description=said.description.strip(),
                tags=tag_tuple(config.tags),
                meta=config.meta,
                file=path,
                config=config,
                header=header,
                columns=tuple(said.columns),
            )
        )
        self._data_tests(said, origin, f"seed.{self.package.name}.{name}")

    def _source(self, said: nodes.SourceProperties, origin: Origin) -> None:
        for index, table in enumerate(said.tables):
            at = Origin(origin.path, f"{origin.pointer}.tables[{index}]")
            place = self._config("sources", (said.name, table.name), {})
            enabled = said.config.enabled and table.config.enabled and place.get("enabled", True)
            if not enabled:
                continue
            tests_of = f"source.{self.package.name}.{said.name}.{table.name}"
            self.project.sources.append(
                nodes.Source(
                    **self._common(origin.path, f"{said.name}.{table.name}", at),
                    description=(table.description or said.description).strip(),
                    tags=tag_tuple(said.tags, said.config.tags, table.tags, table.config.tags),
                    meta={**said.meta, **said.config.meta, **table.meta, **table.config.meta},
                    source_name=said.name,
                    table=table.name,
                    schema=said.schema or said.name,
                    identifier=table.identifier or table.name,
                    external_location=self._external(said, table, at),
                    loaded_at_field=table.loaded_at_field
                    or table.config.loaded_at_field
                    or said.loaded_at_field
                    or said.config.loaded_at_field,
                    freshness=table.freshness
                    or table.config.freshness
                    or said.freshness
                    or said.config.freshness,
                    columns=tuple(table.columns),
                )
            )
            self._data_tests(table, at, tests_of)

    def _external(
        self, said: nodes.SourceProperties, table: nodes.TableProperties, at: Origin
    ) -> str | None:
        """What stands after FROM for a source in files: a quoted path, or the call as it is."""
        location = (
            table.config.external_location
            or table.meta.get("external_location")
            or said.config.external_location
            or said.meta.get("external_location")
        )
        if location is None:
            return None
        fill = self.project.environment.fill
        text = str(fill(location, at.location(), self.project.vars, secret=False))
        text = text.replace("{name}", table.identifier or table.name)
        if "(" in text:
            return text.replace("{root}", str(self.root))
        path = Path(text.replace("{root}", str(self.root)))
        return "'" + str(self.root / path).replace("'", "''") + "'"

    def _data_tests(
        self,
        said: nodes.ModelProperties | nodes.TableProperties,
        origin: Origin | None,
        attached: str,
    ) -> None:
        if origin is None:
            return
        for test in tests.generic(said, origin, attached, self.package.name):
            layers = self._config("data_tests", (), {})
            if layers.get("enabled", True):
                self.project.data_tests.append(test)

    def _singular_test(self, path: Path) -> None:
        name = path.stem
        if "generic" in path.relative_to(self.root).parts:
            self._macro(path)
            return
        said = self.singular.get(name, nodes.SingularTestProperties(name=name))
        if said.config.enabled:
            self.project.data_tests.append(
                nodes.DataTest(
                    **self._common(path, name, None),
                    description=said.description.strip(),
                    tags=tag_tuple(said.config.tags),
                    config=said.config,
                    file=path,
                    text=documents.read(path),
                )
            )

    def _unit_test(self, said: nodes.UnitTestProperties, origin: Origin) -> None:
        if said.config.enabled and self._config("unit_tests", (), {}).get("enabled", True):
            self.project.unit_tests.append(
                nodes.UnitTest(
                    **self._common(origin.path, said.name, origin),
                    description=said.description.strip(),
                    tags=tag_tuple(said.config.tags),
                    model=said.model,
                    given=tuple(said.given),
                    expect=said.expect,
                    overrides=said.overrides,
                )
            )

    def _plain(self, kind: str, said: Any, index: int, origin: Origin) -> None:
        """A persona, goal, purpose, channel or audience."""
        config = merge({"enabled": True}, self._config(kind, (said.name,), {}))
        if not (said.config.enabled and config["enabled"]):
            return
        common = {
            **self._common(origin.path, said.name, origin),
            "description": said.description.strip(),
            "tags": tag_tuple(said.config.tags),
            "meta": {**said.meta, **said.config.meta},
        }
        getattr(self.project, kind).append(_PLAIN[kind](said, common, index))

    def _destinations(self) -> None:
        path = self.root / FILE_NAME
        for index, settings in enumerate(self.file.destinations):
            at = f"$.destinations[{index}]"
            said = documents.decode(settings, DestinationProperties, path, at)
            if any(d.name == said.name for d in self.project.destinations):
                if self.package.root == self.project.root:
                    raise ProjectError(
                        f"the destination `{said.name}` is given twice",
                        documents.locate(path, at),
                    )
                continue
            own = {k: v for k, v in settings.items() if k not in ("name", "type", "description")}
            self.project.destinations.append(
                nodes.Destination(
                    **self._common(path, said.name, Origin(path, at)),
                    description=said.description.strip(),
                    type=said.type,
                    settings=own,
                )
            )


def _audience(said: nodes.AudienceProperties, common: dict[str, Any], _: int) -> nodes.Audience:
    columns = {
        name: entry if isinstance(entry, str) else entry.column
        for name, entry in said.fields.items()
    }
    return nodes.Audience(
        **common,
        goal=said.goal,
        segments=tuple(said.segments),
        exclude=tuple(said.exclude),
        user_types=said.user_types == "all",
        channel=said.channel,
        purpose=said.purpose,
        destination=said.destination,
        key=said.key,
        fields=tuple(columns.items()),
    )


_PLAIN: dict[str, Any] = {
    "personas": lambda said, common, index: nodes.Persona(
        **common, label=said.label or said.name, segment=said.segment, position=index
    ),
    "goals": lambda said, common, _: nodes.Goal(**common),
    "purposes": lambda said, common, _: nodes.Purpose(**common, basis=said.basis),
    "channels": lambda said, common, _: nodes.Channel(
        **common,
        address=said.address,
        reachable=said.reachable,
        suppress=tuple(said.suppress),
        needs_consent=said.consent == "required",
    ),
    "audiences": _audience,
}


def _check_seed_columns(
    config: nodes.SeedConfig, header: tuple[str, ...], path: Path, at: Origin
) -> None:
    if not header:
        raise ProjectError("the seed is empty: its first line names the columns", Location(path))
    for column in config.column_types:
        if column not in header:
            raise ProjectError(
                f"column_types names `{column}`, which {path.name} does not have",
                at.location(".config"),
                did_you_mean(column, header),
            )


def _check_names(project: Project) -> None:
    """Names are unique: over all packages for what SQL refers to, within a kind for the rest."""
    groups: tuple[Iterable[Node], ...] = (
        [*project.models, *project.seeds],
        project.sources,
        project.unit_tests,
        project.personas,
        project.goals,
        project.purposes,
        project.channels,
        project.audiences,
        project.destinations,
    )
    for group in groups:
        seen: dict[str, Node] = {}
        for node in group:
            if node.name in seen:
                other = seen[node.name]
                raise ProjectError(
                    f"two {node.kind}s are named `{node.name}`, also {other.package}/{other.path}",
                    place(node),
                    "rename one, or disable one with `enabled: false`",
                )
            seen[node.name] = node


def place(node: Node) -> Location:
    """Where a node stands: its own file, else the YAML that speaks of it."""
    file = getattr(node, "file", None)
    if file:
        return Location(file)
    return node.origin.location(".name") if node.origin else Location(Path(node.path))
