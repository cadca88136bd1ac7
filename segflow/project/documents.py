"""YAML text in, typed values out; every complaint carries the file and the line."""

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from segflow.errors import Location, ProjectError, did_you_mean

T = TypeVar("T")


class _Loader(yaml.CSafeLoader):
    """YAML's safe loader, but a key given twice is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key.value}` is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> str:
    """The text of a file of the project, which is UTF-8; a byte-order mark is dropped."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProjectError(f"not UTF-8: {error.reason}", Location(path)) from None
    except OSError as error:
        raise ProjectError(f"cannot be read: {error.strerror}", Location(path)) from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """The mapping at the top of a YAML file; an empty file is an empty mapping."""
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ProjectError(f"broken YAML: {error.problem}", Location(path, line)) from None
    except yaml.YAMLError as error:
        raise ProjectError(f"broken YAML: {error}", Location(path)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProjectError("a YAML file holds keys and values at its top", Location(path, 1))
    return value


def decode(value: Any, shape: type[T], path: Path, at: str = "$") -> T:
    """`value` as `shape`; `at` is the place of `value` in its file, as in `$.models[2].config`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        message, _, below = str(error).partition(" - at `$")
        pointer = at + below.rstrip("`")
        unknown = re.match(r"Object contains unknown field `(.*)`", message)
        if unknown:
            name = unknown[1]
            names = _keys_beside(shape, below.rstrip("`"))
            hint = did_you_mean(name, names) or (f"it takes {', '.join(names)}" if names else None)
            raise ProjectError(
                f"unknown key `{name}`", locate(path, f"{pointer}.{name}"), hint
            ) from None
        key = pointer.rpartition(".")[2]
        raise ProjectError(f"`{key}`: {message}", locate(path, pointer)) from None


def locate(path: Path, pointer: str) -> Location:
    """The line in a YAML file of `pointer`, as in `$.models[2].name`; read only when needed."""
    try:
        node: Any = yaml.compose(path.read_text("utf-8"), _Loader)
    except (OSError, yaml.YAMLError):
        return Location(path)
    line = node.start_mark.line if node else 0
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", pointer):
        if name and isinstance(node, yaml.MappingNode):
            pair = next((p for p in node.value if p[0].value == name), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line
        else:
            break
    return Location(path, line + 1)


def _keys_beside(shape: Any, pointer: str) -> list[str]:
    """The keys allowed at `pointer` below a value of type `shape`."""
    kind: msgspec.inspect.Type = msgspec.inspect.type_info(shape)
    for name, _ in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", pointer):
        kind = _struct_or_self(kind)
        if name and isinstance(kind, msgspec.inspect.StructType):
            kind = next(f.type for f in kind.fields if f.encode_name == name)
        elif isinstance(kind, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            kind = kind.item_type
        elif isinstance(kind, msgspec.inspect.DictType):
            kind = kind.value_type
    kind = _struct_or_self(kind)
    return _names(kind.fields) if isinstance(kind, msgspec.inspect.StructType) else []


def _struct_or_self(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """The one member of a union that has an inside, as in `Config | None`."""
    if isinstance(kind, msgspec.inspect.UnionType):
        plain = msgspec.inspect.NoneType | msgspec.inspect.StrType
        return next((t for t in kind.types if not isinstance(t, plain)), kind)
    return kind


def _names(fields: Iterable[msgspec.inspect.Field]) -> list[str]:
    return [field.encode_name for field in fields]
