"""The `data_tests` of a model, seed or source in, one node for each test out."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from segflow.errors import ProjectError
from segflow.project import documents, nodes
from segflow.project.nodes import Origin, tag_tuple

_CONFIG_KEYS = set(nodes.DataTestConfig.__struct_fields__)


def generic(
    said: nodes.ModelProperties | nodes.TableProperties,
    origin: Origin,
    attached: str,
    package: str,
) -> Iterator[nodes.DataTest]:
    """Every enabled test declared on a node or on one of its columns."""
    for index, entry in enumerate([*said.data_tests, *said.tests]):
        at = Origin(origin.path, f"{origin.pointer}.data_tests[{index}]")
        yield from _test(entry, None, at, attached, package)
    for number, column in enumerate(said.columns):
        for index, entry in enumerate([*column.data_tests, *column.tests]):
            below = f"{origin.pointer}.columns[{number}].data_tests[{index}]"
            yield from _test(entry, column.name, Origin(origin.path, below), attached, package)


def _test(
    entry: Any, column: str | None, at: Origin, attached: str, package: str
) -> Iterator[nodes.DataTest]:
    """One entry: `unique`, or `{accepted_values: {arguments: {…}, config: {…}}}`."""
    said: dict[str, Any] = {}
    if isinstance(entry, str):
        test = entry
    elif isinstance(entry, dict) and len(entry) == 1:
        test, said = next(iter(entry.items()))
        said = dict(said or {})
    else:
        raise ProjectError("a test is a name, or one name with its arguments", at.location())
    config = dict(said.pop("config", None) or {})
    config |= {key: said.pop(key) for key in list(said) if key in _CONFIG_KEYS}
    name = said.pop("name", None)
    description = said.pop("description", "")
    arguments = {**said.pop("arguments", {}), **said}
    decoded = documents.decode(config, nodes.DataTestConfig, at.path, f"{at.pointer}.{test}.config")
    if decoded.enabled:
        yield nodes.DataTest(
            name=name or _name(test, attached, column, arguments, config),
            package=package,
            path=at.path.name,
            description=description,
            tags=tag_tuple(decoded.tags),
            meta=decoded.meta,
            origin=at,
            config=decoded,
            test=test,
            arguments=arguments,
            attached=attached,
            column=column,
        )


def _name(
    test: str, attached: str, column: str | None, arguments: dict[str, Any], config: dict[str, Any]
) -> str:
    """As in `unique_contacts_contact_id`; what tells two such tests apart is hashed behind it."""
    name = "_".join([test, attached.rpartition(".")[2], *([column] if column else [])])
    rest = {**arguments, **({"where": config["where"]} if config.get("where") else {})}
    if not rest:
        return name
    digest = hashlib.md5(msgspec.json.encode(rest, order="sorted", enc_hook=str)).hexdigest()
    return f"{name}_{digest[:8]}"
