"""The `data_tests` of a model, seed or source in, one node for each test out."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from segflow.errors import ProjectError
from segflow.project import documents, nodes
from segflow.project.folders import merge
from segflow.project.nodes import ColumnProperties, Origin, tag_tuple
from segflow.project.properties import ModelProperties, TableProperties

_CONFIG_KEYS = set(nodes.DataTestConfig.__struct_fields__)


def generic(
    said: ModelProperties | TableProperties,
    origin: Origin,
    attached: str,
    common: dict[str, Any],
    folders: Callable[[str], dict[str, Any]],
) -> Iterator[nodes.DataTest]:
    """Every enabled test declared on a node or on one of its columns.

    Args:
        attached: the id of the node.
        common: what every node from this YAML file has.
        folders: the config that a test of some name has from its folders.
    """
    for entry, at in _entries(said, origin):
        yield from _test(entry, None, at, attached, common, folders)
    for number, column in enumerate(said.columns):
        below = Origin(origin.path, f"{origin.pointer}.columns[{number}]")
        for entry, at in _entries(column, below):
            yield from _test(entry, column.name, at, attached, common, folders)


def _entries(
    said: ModelProperties | TableProperties | ColumnProperties, origin: Origin
) -> Iterator[tuple[Any, Origin]]:
    """The tests under `data_tests` and under `tests`, dbt's older name for it."""
    for key in ("data_tests", "tests"):
        for index, entry in enumerate(getattr(said, key)):
            yield entry, Origin(origin.path, f"{origin.pointer}.{key}[{index}]")


def _test(
    entry: Any,
    column: str | None,
    at: Origin,
    attached: str,
    common: dict[str, Any],
    folders: Callable[[str], dict[str, Any]],
) -> Iterator[nodes.DataTest]:
    """One entry: `unique`, or `{accepted_values: {arguments: {…}, config: {…}}}`."""
    test, said = _parts(entry, at)
    where = f"{at.pointer}.{test}" + (".config" if "config" in said else "")
    config = _mapping(said.pop("config", None), at, f".{test}.config")
    config |= {key: said.pop(key) for key in list(said) if key in _CONFIG_KEYS}
    name, description = said.pop("name", None), said.pop("description", "")
    if not isinstance(name, str | None) or not isinstance(description, str):
        raise ProjectError("`name` and `description` are texts", at.location(f".{test}"))
    arguments = {**_mapping(said.pop("arguments", None), at, f".{test}.arguments"), **said}
    name = name or _name(test, attached, column, arguments, config)
    if config:
        documents.decode(config, nodes.DataTestConfig, at.path, where)
    decoded = documents.convert(merge(folders(name), config), nodes.DataTestConfig)
    if decoded.enabled:
        yield nodes.DataTest(
            **{**common, "name": name, "origin": at},
            description=description,
            tags=tag_tuple(decoded.tags),
            meta=decoded.meta,
            config=decoded,
            test=test,
            arguments=arguments,
            attached=attached,
            column=column,
        )


def _parts(entry: Any, at: Origin) -> tuple[str, dict[str, Any]]:
    """A test's name and what is said of it; dbt also takes `{test_name: unique, …}`."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and isinstance(entry.get("test_name"), str):
        return entry["test_name"], {k: v for k, v in entry.items() if k != "test_name"}
    if isinstance(entry, dict) and len(entry) == 1 and all(isinstance(key, str) for key in entry):
        test, said = next(iter(entry.items()))
        return test, _mapping(said, at, f".{test}")
    raise ProjectError("a test is a name, or one name with its arguments", at.location())


def _mapping(value: Any, at: Origin, below: str) -> dict[str, Any]:
    if not isinstance(value, dict | None) or any(not isinstance(key, str) for key in value or ()):
        raise ProjectError("this takes keys with values", at.location(below))
    return dict(value or {})


def _name(
    test: str, attached: str, column: str | None, arguments: dict[str, Any], config: dict[str, Any]
) -> str:
    """As in `unique_contacts_contact_id`; what tells two such tests apart is hashed behind it."""
    of = attached.split(".", 2)[2].replace(".", "_")
    name = "_".join([test, of, *([column] if column else [])])
    rest = {**arguments, **({"where": config["where"]} if config.get("where") else {})}
    if not rest:
        return name
    digest = hashlib.md5(msgspec.json.encode(rest, order="sorted", enc_hook=str)).hexdigest()
    return f"{name}_{digest[:8]}"
