"""One package's files in, its nodes out: YAML, SQL and CSV read and typed, nothing rendered."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from segflow.errors import ProjectError, did_you_mean
from segflow.project import documents, files, nodes, tests
from segflow.project import properties as said_as
from segflow.project.cache import Cache
from segflow.project.config import DestinationProperties, Environment, Package
from segflow.project.files import File
from segflow.project.folders import Folders, merge
from segflow.project.nodes import Node, Origin, Said, by_key

# What YAML describes and a file holds: the file's ending.
_IN_FILES = {"models": ".sql", "seeds": ".csv", "data_tests": ".sql"}
# What YAML says all of.
SAID = ("unit_tests", "personas", "goals", "purposes", "channels", "messages", "audiences")
# Keys of a config that may also stand beside it.
_BESIDE = ("meta", "guards", "tags", "loaded_at_field", "freshness")


class Properties(said_as.Shape, frozen=True):
    """One YAML file below the paths of models, seeds, macros or tests."""

    version: int = 2
    models: list[said_as.ModelProperties] = []
    seeds: list[said_as.ModelProperties] = []
    sources: list[said_as.SourceProperties] = []
    macros: list[said_as.MacroProperties] = []
    data_tests: list[said_as.SingularTestProperties] = []
    unit_tests: list[nodes.UnitTest] = []
    personas: list[nodes.Persona] = []
    goals: list[nodes.Goal] = []
    purposes: list[nodes.Purpose] = []
    channels: list[nodes.Channel] = []
    messages: list[nodes.Message] = []
    holdout: nodes.Holdout | None = None
    allow_empty: list[str] = []
    audiences: list[nodes.Audience] = []


@dataclass(kw_only=True)
class Contents:
    """The nodes that packages hold, the `files` that say so, and what these are read with.

    `disabled` are the ids of those that are switched off.
    """

    vars: dict[str, Any]
    environment: Environment
    cache: Cache
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
    messages: list[nodes.Message] = field(default_factory=list)
    audiences: list[nodes.Audience] = field(default_factory=list)
    destinations: list[nodes.Destination] = field(default_factory=list)
    holdout: nodes.Holdout | None = None
    gaps: list[nodes.Gap] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)


class Reader:
    """Reads one package into `contents`; `folders` are those of its own segflow.yml first."""

    def __init__(self, package: Package, folders: tuple[Folders, ...], contents: Contents):
        self.package = package
        self.folders, self.contents = folders, contents
        # What YAML says of models, seeds and singular tests, until their files are read.
        self.said: dict[str, dict[str, tuple[Any, Origin]]] = {k: {} for k in _IN_FILES}
        self.says_holdout = False

    def read(self) -> None:
        """Read every file.

        Raises:
            ProjectError: a file is broken, or YAML speaks of a file that is not there.
        """
        file, root = self.package.file, self.package.root
        readers = (
            (file.model_paths, ".sql", self._model),
            (file.seed_paths, ".csv", self._seed),
            (file.macro_paths, ".sql", self._macro),
            (file.test_paths, ".sql", self._singular_test),
        )
        groups = [(files.below(root, paths), suffix, read) for paths, suffix, read in readers]
        every = {f.relative: f for group, _, _ in groups for f in group}
        told = [f.path for f in every.values() if f.suffix in (".sql", ".csv", ".yml", ".yaml")]
        self.contents.files += [self.package.path, *told]
        for found in every.values():
            if found.suffix in (".yml", ".yaml"):
                self._properties(found)
        for group, suffix, read in groups:
            for found in group:
                if found.suffix == suffix:
                    read(found)
        self._destinations()
        self._check_all_found()

    def _properties(self, file: File) -> None:
        text, path = documents.read(file.path), file.path

        def make() -> Properties:
            return documents.decode(documents.parse(text, path), Properties, path)

        read = self.contents.cache.get(["yaml", text], Properties, make)

        def entries(kind: str) -> Iterable[tuple[Any, Origin]]:
            return ((s, Origin(path, f"$.{kind}[{i}]")) for i, s in enumerate(getattr(read, kind)))

        for kind, found in self.said.items():
            for said, origin in entries(kind):
                if said.name in found:
                    other = found[said.name][1].location(".name")
                    message = f"`{said.name}` is described twice, also in {other}"
                    raise ProjectError(message, origin.location(".name"))
                found[said.name] = (said, origin)
        for said, origin in entries("sources"):
            self._source(said, file, origin)
        for said, origin in entries("allow_empty"):
            self._gap(said, file, origin)
        for kind in SAID:
            for said, origin in entries(kind):
                self._said(kind, said, file, origin)
        if read.holdout:
            if self.says_holdout:
                at = documents.locate(path, "$.holdout")
                raise ProjectError("a project has one `holdout`, and this is another", at)
            self.says_holdout = True
            self.contents.holdout = self.contents.holdout or read.holdout

    def _check_all_found(self) -> None:
        """What YAML speaks of has a file."""
        for kind, ending in _IN_FILES.items():
            known: list[Node] = getattr(self.contents, kind)
            for name, (_, origin) in self.said[kind].items():
                near = did_you_mean(name, [node.name for node in known])
                raise ProjectError(
                    f"there is no {kind[:-1].replace('_', ' ')} file for `{name}`",
                    origin.location(".name"),
                    near or f"add {name}{ending}, or drop the entry",
                )

    # ── what every node has ───────────────────────────────────────────────────────────────────

    def _layers(self, kind: str, file: File, *names: str) -> dict[str, Any]:
        """Config of a node from its folders: its package's own, then the project's."""
        config: dict[str, Any] = {}
        for folders in self.folders:
            place = (self.package.name, *file.folders, *names)
            config = merge(config, folders.config(kind, place))
        return config

    def _common(self, file: File, said: Any, origin: Origin | None) -> dict[str, Any]:
        return {
            "name": said.name,
            "package": self.package.name,
            "path": file.relative,
            "origin": origin,
            "description": said.description.strip(),
        }

    def _is_disabled(self, node: str, enabled: bool) -> bool:
        if not enabled:
            self.contents.disabled.add(node)
        return not enabled

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    def _macro(self, file: File) -> None:
        text = documents.read(file.path)
        self.contents.macros.append(nodes.MacroFile(self.package.name, file.path, text))

    def _described(
        self, kind: str, file: File, shape: type[said_as.NodeConfig]
    ) -> tuple[said_as.ModelProperties, Origin | None, dict[str, Any]]:
        """What YAML says of a file, where, and all layers of its config."""
        unsaid = said_as.ModelProperties(name=file.stem), None
        said, origin = self.said[kind].pop(file.stem, unsaid)
        own = _own(said)
        if origin and own:
            documents.decode(own, shape, origin.path, f"{origin.pointer}.config")
        return said, origin, merge(self._layers(kind, file, file.stem), own)

    def _model(self, file: File) -> None:
        said, origin, config = self._described("models", file, said_as.ModelConfig)
        model = nodes.Model(
            **self._common(file, said, origin),
            file=file.path,
            text=documents.read(file.path),
            config=config,
            columns=tuple(said.columns),
        )
        if not self._is_disabled(model.id, config.get("enabled", True)):
            self.contents.models.append(model)
            self._data_tests(said, file, origin, model.id)

    def _seed(self, file: File) -> None:
        said, origin, layers = self._described("seeds", file, said_as.SeedConfig)
        config = documents.convert(layers, said_as.SeedConfig)
        if self._is_disabled(f"seed.{self.package.name}.{said.name}", config.enabled):
            return
        at = origin or Origin(self.package.path, "$.seeds")
        if len(config.delimiter) != 1:
            raise ProjectError(
                "a delimiter is one character", at.location(".config.delimiter"), "as in `;`"
            )
        header, digest = files.read_header(file.path, config.delimiter, self.contents.cache)
        for column in config.column_types:
            if column not in header:
                raise ProjectError(
                    f"column_types names `{column}`, which {file.path.name} does not have",
                    at.location(f".config.column_types.{column}"),
                    did_you_mean(column, header),
                )
        seed = nodes.Seed(
            **self._common(file, said, origin),
            file=file.path,
            config=config,
            header=header,
            digest=digest,
            columns=tuple(said.columns),
        )
        self.contents.seeds.append(seed)
        self._data_tests(said, file, origin, seed.id)

    def _singular_test(self, file: File) -> None:
        if "generic" in file.folders:
            self._macro(file)
            return
        unsaid = said_as.SingularTestProperties(name=file.stem), None
        said, origin = self.said["data_tests"].pop(file.stem, unsaid)
        layers = merge(self._layers("data_tests", file, file.stem), _own(said))
        config = documents.convert(layers, said_as.DataTestConfig)
        if config.enabled:
            self.contents.data_tests.append(
                nodes.DataTest(
                    **self._common(file, said, origin),
                    config=config,
                    file=file.path,
                    text=documents.read(file.path),
                )
            )

    # ── YAML ──────────────────────────────────────────────────────────────────────────────────

    def _said(self, kind: str, said: Said, file: File, origin: Origin) -> None:
        """A node that has no file of its own."""
        layers = merge(self._layers(kind, file, said.name), _own(said))
        config = documents.convert(layers, type(said.config))
        node = replace(said, **self._common(file, said, origin), config=config)
        if not self._is_disabled(node.id, config.enabled):
            getattr(self.contents, kind).append(node)

    def _gap(self, said: str, file: File, origin: Origin) -> None:
        name, *channels = re.split(r"\s*×\s*|\s+x\s+", said.strip())
        if len(channels) > 1 or not re.fullmatch(r"\w[\w-]*", name):
            hint = "name a goal and a channel, as in content × in_app, or one user type"
            raise ProjectError(f"`{said}` is no gap", origin.location(), hint)
        where: dict[str, Any] = {"package": self.package.name, "path": file.relative}
        gap = nodes.Gap(**where, origin=origin, name=name, channel=next(iter(channels), None))
        self.contents.gaps.append(gap)

    def _source(self, said: said_as.SourceProperties, file: File, above: Origin) -> None:
        for index, table in enumerate(said.tables):
            at = Origin(file.path, f"{above.pointer}.tables[{index}]")
            layers = self._layers("sources", file, said.name, table.name)
            layers = merge(merge(layers, _own(said)), _own(table))
            config = documents.convert(layers, said_as.SourceConfig)
            identifier = table.identifier or table.name
            name = f"{said.name}.{table.name}"
            described = table.description or said.description
            source = nodes.Source(
                **self._common(file, replace(table, name=name, description=described), at),
                config=config,
                source_name=said.name,
                table=table.name,
                schema=said.schema or said.name,
                identifier=identifier,
                external_location=self._external(((table, at), (said, above)), identifier),
                loaded_at_field=config.loaded_at_field,
                freshness=None if config.freshness is UNSET else config.freshness,
                columns=tuple(table.columns),
            )
            if not self._is_disabled(source.id, config.enabled):
                self.contents.sources.append(source)
                self._data_tests(table, file, at, source.id)

    def _external(
        self,
        said: Iterable[tuple[said_as.SourceProperties | said_as.TableProperties, Origin]],
        identifier: str,
    ) -> str | None:
        """What stands after FROM for a source in files: a quoted path, or the call as it is."""
        for entry, origin in said:
            for below, value in (
                (".config.external_location", entry.config.external_location),
                (".config.meta.external_location", entry.config.meta.get("external_location")),
                (".meta.external_location", entry.meta.get("external_location")),
            ):
                if value is None:
                    continue
                text = str(value)
                if "{{" in text:
                    fill, where = self.contents.environment.fill, origin.location(below)
                    text = str(fill(text, where, self.contents.vars, secret=False))
                text = text.replace("{name}", identifier).replace("{identifier}", identifier)
                return files.readable(self.package.home, text)
        return None

    def _data_tests(
        self,
        said: said_as.ModelProperties | said_as.TableProperties,
        file: File,
        origin: Origin | None,
        attached: str,
    ) -> None:
        if origin:
            path = str(origin.path)[len(str(self.package.root)) + 1 :]
            common = {"package": self.package.name, "path": path}
            folders = partial(self._layers, "data_tests", file)
            self.contents.data_tests += tests.generic(said, origin, attached, common, folders)

    def _destinations(self) -> None:
        path = self.package.path
        mine: set[str] = set()
        theirs = {destination.name for destination in self.contents.destinations}
        for index, settings in enumerate(self.package.file.destinations):
            at = Origin(path, f"$.destinations[{index}]")
            said = documents.decode(settings, DestinationProperties, path, at.pointer)
            if said.name in mine:
                message = f"the destination `{said.name}` is given twice"
                raise ProjectError(message, at.location(".name"))
            mine.add(said.name)
            if said.name not in theirs:
                self.contents.destinations.append(
                    nodes.Destination(
                        name=said.name,
                        package=self.package.name,
                        path=path.name,
                        origin=at,
                        description=said.description.strip(),
                        type=said.type,
                        settings={
                            key: value
                            for key, value in settings.items()
                            if key not in DestinationProperties.__struct_fields__
                        },
                    )
                )


def _own(said: Any) -> dict[str, Any]:
    """What YAML says of a node's config, with those of its keys that stand beside it."""
    config = said.config if isinstance(said.config, dict) else msgspec.to_builtins(said.config)
    given = {
        key: msgspec.to_builtins(value)
        for key, value in by_key(said).items()
        # That there is no freshness is said as null.
        if key in _BESIDE and value is not UNSET and (value or key == "freshness")
    }
    return merge(given, config)
