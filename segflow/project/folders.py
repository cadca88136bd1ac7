"""The `+key` entries of a segflow.yml in, the config that a node has from its folders out."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents, properties
from segflow.project.config import Environment, Package
from segflow.project.properties import Tree

Place = tuple[str, ...]

_SHAPES: dict[str, type[Struct]] = {
    "models": properties.ModelConfig,
    "seeds": properties.SeedConfig,
    "sources": properties.SourceConfig,
    "data_tests": properties.DataTestConfig,
    "audiences": properties.AudienceConfig,
    **dict.fromkeys(("unit_tests", "personas", "goals"), properties.NodeConfig),
    **dict.fromkeys(("purposes", "channels", "messages"), properties.NodeConfig),
}


class Folders:
    """What one segflow.yml says of folders, as in `models: {starter: {staging: {+schema: x}}}`."""

    def __init__(self, package: Package, environment: Environment, names: Mapping[str, Any]):
        """Check and fill in every entry.

        Raises:
            ProjectError: a config key or its value is wrong.
        """
        self._path = package.path
        self._environment, self._names = environment, names
        self._trees = {
            kind: self._checked(getattr(package.file, kind), shape, f"$.{kind}")
            for kind, shape in _SHAPES.items()
        }
        self._asked: dict[str, set[Place]] = {kind: set() for kind in _SHAPES}

    def config(self, kind: str, place: Place) -> dict[str, Any]:
        """What is said of a node at `place` (package, folders, name); deeper entries win."""
        level: Any = self._trees[kind]
        if not level:
            return {}
        self._asked[kind].add(place)
        found: dict[str, Any] = {}
        for step in (*place, None):
            above = {key[1:]: value for key, value in level.items() if key.startswith("+")}
            found = merge(found, above)
            level = level.get(step)
            if not isinstance(level, dict):
                break
        return found

    def misspelt(self) -> Iterator[str]:
        """A warning for every entry that no node has a folder or a name for, and one nearly has."""
        for kind, tree in self._trees.items():
            for place in _places(tree, ()):
                depth = len(place) - 1
                beside = (p for p in self._asked[kind] if p[:depth] == place[:depth])
                known = {p[depth] for p in beside if len(p) > depth}
                near = None if place[-1] in known else did_you_mean(place[-1], known)
                if near:
                    where = documents.locate(self._path, ".".join(["$", kind, *place]))
                    yield f"{where}: `{place[-1]}` is no folder and no name of {kind} ({near})"

    def _checked(self, tree: Tree, shape: type[Struct], at: str) -> Tree:
        checked: Tree = {}
        for key, value in tree.items():
            if not isinstance(key, str):
                where = documents.locate(self._path, at)
                raise ProjectError(f"the key `{key}` is no text", where, f"quote it: '{key}'")
            if key.startswith("+"):
                checked[key] = self._value(key, value, shape, f"{at}.{key}")
            elif isinstance(value, dict):
                checked[key] = self._checked(value, shape, f"{at}.{key}")
            else:
                known = key in shape.__struct_fields__
                raise ProjectError(
                    f"`{key}` is neither a folder nor a config key",
                    documents.locate(self._path, f"{at}.{key}"),
                    f"write `+{key}`" if known else _nearest(f"+{key}", shape),
                )
        return checked

    def _value(self, key: str, value: Any, shape: type[Struct], at: str) -> Any:
        """The value of a `+key`, env_var and var in it replaced."""
        if "{{" in str(value):
            where: Location = documents.locate(self._path, at)
            value = self._environment.fill(value, where, self._names, secret=False)
        name = key[1:]
        if name not in shape.__struct_fields__:
            where = documents.locate(self._path, at)
            raise ProjectError(f"unknown config key `{key}`", where, _nearest(key, shape))
        try:
            documents.convert({name: value}, shape)
        except documents.Mismatch as error:
            below = error.pointer.removeprefix(f".{name}")
            where = documents.locate(self._path, at + below)
            raise ProjectError(error.message, where, error.hint) from None
        return value


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two layers of config as one: `above` wins, but tags add up, meta and guards are merged."""
    merged = {**below, **above}
    if "tags" in below and "tags" in above:
        merged["tags"] = [*_listed(below["tags"]), *_listed(above["tags"])]
    for key in ("meta", "guards"):
        if key in below and key in above:
            merged[key] = {**below[key], **above[key]}
    return merged


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _nearest(key: str, shape: type[Struct]) -> str:
    names = [f"+{name}" for name in shape.__struct_fields__]
    return did_you_mean(key, names) or f"there is: {', '.join(names)}"


def _places(tree: Tree, above: Place) -> Iterator[Place]:
    for key, value in tree.items():
        if isinstance(value, dict) and not key.startswith("+"):
            yield (*above, key)
            yield from _places(value, (*above, key))
