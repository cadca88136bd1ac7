"""The `data_tests` of a model, seed or source in, one node for each test out."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from segflow.errors import ProjectError
from segflow.project import documents, nodes
from segflow.project.folders import merge
from segflow.project.nodes import Origin
from segflow.project.properties import DataTestConfig, ModelProperties, TableProperties

_CONFIG_KEYS = set(DataTestConfig.__struct_fields__)


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
    places: list[tuple[Any, str | None, str]] = [(said, None, origin.pointer)]
    for number, column in enumerate(said.columns):
        places.append((column, column.name, f"{origin.pointer}.columns[{number}]"))
    for holder, name, pointer in places:
        # `tests` is dbt's older name.
        for key in ("data_tests", "tests"):
            for index, entry in enumerate(getattr(holder, key)):
                at = Origin(origin.path, f"{pointer}.{key}[{index}]")
                test = _test(entry, name, at, attached, common, folders)
                if test.config.enabled:
                    yield test


def _test(
    entry: Any,
    column: str | None,
    at: Origin,
    attached: str,
    common: dict[str, Any],
    folders: Callable[[str], dict[str, Any]],
) -> nodes.DataTest:
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
        documents.decode(config, DataTestConfig, at.path, where)
    decoded = documents.convert(merge(folders(name), config), DataTestConfig)
    return nodes.DataTest(
        **{**common, "name": name, "origin": at},
        description=description,
        config=decoded,
        test=test,
        arguments=arguments,
        attached=attached,
        column=column,
    )


def _parts(entry: Any, at: Origin) -> tuple[str, dict[str, Any]]:
    """A test's name and what is said of it."""
    if isinstance(entry, str):
        return entry, {}
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
