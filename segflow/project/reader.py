"""One package's files in, its nodes out: YAML, SQL and CSV read and typed, nothing rendered."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from segflow.errors import ProjectError, did_you_mean
from segflow.project import documents, files, nodes, tests
from segflow.project import properties as said_as
from segflow.project.cache import Cache
from segflow.project.config import DestinationProperties, Environment, Package
from segflow.project.files import File
from segflow.project.folders import Folders, merge
from segflow.project.nodes import Node, Origin, tag_tuple
from segflow.project.plain import PLAIN

# What YAML describes and a file holds: the file's ending.
_IN_FILES = {"models": ".sql", "seeds": ".csv", "data_tests": ".sql"}


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
    disabled: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)


class Reader:
    """Reads one package into `contents`; `folders` are those of its own segflow.yml first."""

    def __init__(self, package: Package, folders: tuple[Folders, ...], contents: Contents):
        self.package, self.file = package, package.file
        self.folders, self.contents = folders, contents
        # What YAML says of models, seeds and singular tests, until their files are read.
        self.said: dict[str, dict[str, tuple[Any, Origin]]] = {k: {} for k in _IN_FILES}
        self.says_holdout = False

    def read(self) -> None:
        """Read every file.

        Raises:
            ProjectError: a file is broken, or YAML speaks of a file that is not there.
        """
        file, root = self.file, self.package.root
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

        def make() -> said_as.Properties:
            return documents.decode(documents.parse(text, path), said_as.Properties, path)

        read = self.contents.cache.get(["yaml", text], said_as.Properties, make)
        for kind, found in self.said.items():
            for index, item in enumerate(getattr(read, kind)):
                origin = Origin(path, f"$.{kind}[{index}]")
                if item.name in found:
                    other = found[item.name][1].location(".name")
                    raise ProjectError(
                        f"`{item.name}` is described twice, also in {other}",
                        origin.location(".name"),
                    )
                found[item.name] = (item, origin)
        for index, source in enumerate(read.sources):
            self._source(source, file, f"$.sources[{index}]")
        for index, test in enumerate(read.unit_tests):
            self._unit_test(test, file, Origin(path, f"$.unit_tests[{index}]"))
        if read.holdout:
            if self.says_holdout:
                at = Origin(path, "$.holdout").location()
                raise ProjectError("a project has one `holdout`, and this is another", at)
            self.says_holdout = True
            self.contents.holdout = self.contents.holdout or read.holdout
        for kind in PLAIN:
            for index, item in enumerate(getattr(read, kind)):
                self._plain(kind, item, file, Origin(path, f"$.{kind}[{index}]"))

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

    def _common(
        self, file: File, said: Any, origin: Origin | None, config: nodes.NodeConfig | None = None
    ) -> dict[str, Any]:
        return {
            "name": said.name,
            "package": self.package.name,
            "path": file.relative,
            "origin": origin,
            "description": said.description.strip(),
            "tags": tag_tuple(config.tags) if config else (),
            "meta": config.meta if config else {},
        }

    def _is_disabled(self, node: str, enabled: bool) -> bool:
        if not enabled:
            self.contents.disabled.add(node)
        return not enabled

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    def _macro(self, file: File) -> None:
        text = documents.read(file.path)
        self.contents.macros.append(nodes.MacroFile(self.package.name, file.path, text))

    def _model(self, file: File) -> None:
        name = file.stem
        said, origin = self.said["models"].pop(name, (said_as.ModelProperties(name=name), None))
        own = _with_meta(said.meta, said.config)
        if origin and own:
            documents.decode(own, nodes.ModelConfig, origin.path, f"{origin.pointer}.config")
        config = merge(self._layers("models", file, name), own)
        node = f"model.{self.package.name}.{name}"
        if self._is_disabled(node, config.get("enabled", True)):
            return
        self.contents.models.append(
            nodes.Model(
                **self._common(file, said, origin),
                file=file.path,
                text=documents.read(file.path),
                config=config,
                columns=tuple(said.columns),
            )
        )
        self._data_tests(said, file, origin, node)

    def _seed(self, file: File) -> None:
        name = file.stem
        said, origin = self.said["seeds"].pop(name, (said_as.ModelProperties(name=name), None))
        own = _with_meta(said.meta, said.config)
        if origin:
            documents.decode(own, nodes.SeedConfig, origin.path, f"{origin.pointer}.config")
        layers = merge(self._layers("seeds", file, name), own)
        config = documents.convert(layers, nodes.SeedConfig)
        node = f"seed.{self.package.name}.{name}"
        if self._is_disabled(node, config.enabled):
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
        self.contents.seeds.append(
            nodes.Seed(
                **self._common(file, said, origin, config),
                file=file.path,
                config=config,
                header=header,
                digest=digest,
                columns=tuple(said.columns),
            )
        )
        self._data_tests(said, file, origin, node)

    def _singular_test(self, file: File) -> None:
        if "generic" in file.folders:
            self._macro(file)
            return
        name = file.stem
        unsaid = said_as.SingularTestProperties(name=name), None
        said, origin = self.said["data_tests"].pop(name, unsaid)
        layers = merge(self._layers("data_tests", file, name), _own(said.config))
        config = documents.convert(layers, nodes.DataTestConfig)
        if config.enabled:
            self.contents.data_tests.append(
                nodes.DataTest(
                    **self._common(file, said, origin, config),
                    config=config,
                    file=file.path,
                    text=documents.read(file.path),
                )
            )

    # ── YAML ──────────────────────────────────────────────────────────────────────────────────

    def _source(self, said: said_as.SourceProperties, file: File, pointer: str) -> None:
        above = Origin(file.path, pointer)
        for index, table in enumerate(said.tables):
            at = Origin(file.path, f"{pointer}.tables[{index}]")
            layers = self._layers("sources", file, said.name, table.name)
            layers = merge(merge(layers, _of_source(said)), _of_source(table))
            config = documents.convert(layers, nodes.SourceConfig)
            name = f"{said.name}.{table.name}"
            node = f"source.{self.package.name}.{name}"
            if self._is_disabled(node, config.enabled):
                continue
            identifier = table.identifier or table.name
            common = self._common(file, table, at, config)
            common["description"] = common["description"] or said.description.strip()
            self.contents.sources.append(
                nodes.Source(
                    **{**common, "name": name},
                    source_name=said.name,
                    table=table.name,
                    schema=said.schema or said.name,
                    identifier=identifier,
                    external_location=self._external(((table, at), (said, above)), identifier),
                    loaded_at_field=config.loaded_at_field,
                    freshness=None if config.freshness is UNSET else config.freshness,
                    columns=tuple(table.columns),
                )
            )
            self._data_tests(table, file, at, node)

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
        if origin is None:
            return
        path = str(origin.path)[len(str(self.package.root)) + 1 :]
        common = {"package": self.package.name, "path": path}
        folders = partial(self._layers, "data_tests", file)
        self.contents.data_tests += tests.generic(said, origin, attached, common, folders)

    def _unit_test(self, said: said_as.UnitTestProperties, file: File, origin: Origin) -> None:
        layers = merge(self._layers("unit_tests", file, said.name), _own(said.config))
        config = documents.convert(layers, nodes.NodeConfig)
        if not config.enabled:
            return
        overrides = said.overrides
        if overrides.as_of is not None:
            overrides = msgspec.structs.replace(overrides, as_of=str(overrides.as_of))
        self.contents.unit_tests.append(
            nodes.UnitTest(
                **self._common(file, said, origin, config),
                model=said.model,
                given=tuple(said.given),
                expect=said.expect,
                overrides=overrides,
            )
        )

    def _plain(self, kind: str, said: Any, file: File, origin: Origin) -> None:
        """A persona, goal, purpose, channel, message or audience."""
        own = _with_meta(said.meta, _own(said.config))
        if isinstance(said, said_as.AudienceProperties):
            own = merge({"guards": _own(said.guards)}, own)
        layers = merge(self._layers(kind, file, said.name), own)
        config = documents.convert(layers, type(said.config))
        if self._is_disabled(f"{kind[:-1]}.{self.package.name}.{said.name}", config.enabled):
            return
        group: list[Node] = getattr(self.contents, kind)
        common = self._common(file, said, origin, config)
        if isinstance(config, nodes.AudienceConfig):
            common["guards"] = config.guards
        group.append(PLAIN[kind](said, common, len(group)))

    def _destinations(self) -> None:
        path = self.package.path
        mine: set[str] = set()
        theirs = {destination.name for destination in self.contents.destinations}
        for index, settings in enumerate(self.file.destinations):
            at = f"$.destinations[{index}]"
            said = documents.decode(settings, DestinationProperties, path, at)
            if said.name in mine:
                where = documents.locate(path, f"{at}.name")
                raise ProjectError(f"the destination `{said.name}` is given twice", where)
            mine.add(said.name)
            if said.name in theirs:
                continue
            own = {k: v for k, v in settings.items() if k not in ("name", "type", "description")}
            self.contents.destinations.append(
                nodes.Destination(
                    name=said.name,
                    package=self.package.name,
                    path=path.name,
                    origin=Origin(path, at),
                    description=said.description.strip(),
                    type=said.type,
                    settings=own,
                )
            )


def _own(config: Any) -> dict[str, Any]:
    """What a config in YAML says, without what it leaves out."""
    found: dict[str, Any] = msgspec.to_builtins(config)
    return found


def _with_meta(meta: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The config in YAML with the `meta` that may stand beside it."""
    return merge({"meta": meta}, config) if meta else config


def _of_source(said: said_as.SourceProperties | said_as.TableProperties) -> dict[str, Any]:
    """The config of a source or one of its tables; its older keys stand beside `config`."""
    beside: dict[str, Any] = {}
    for key in ("loaded_at_field", "freshness", "tags", "meta"):
        value = getattr(said, key)
        if value is not UNSET and (value or key == "freshness"):
            beside[key] = msgspec.to_builtins(value)
    return merge(beside, _own(said.config))
