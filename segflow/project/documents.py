"""YAML text in, typed values out; every complaint carries the file and the line."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from segflow.errors import Location, ProjectError, did_you_mean

T = TypeVar("T")

# msgspec's names of types in the words of people who write YAML.
_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "date": "a day, as in 2026-07-31",
    "datetime": "a moment",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "keys with values",
    "str": "a text",
}

# What to do about what the YAML parser says.
_MENDS = (
    ("the key `", "keep one, with what is below both"),
    ("mapping values are not allowed", "quote a text that has `: ` in it, or mend the indentation"),
    ("found character that cannot", "indent with spaces; quote a text that begins with @, ` or %"),
    ("could not find expected ':'", "write `key: value`, and below it only what is indented"),
    ("did not find expected ',' or", "close the bracket, and put a comma between its entries"),
    ("did not find expected", "mend the indentation: entries of one list or mapping stand in line"),
    ("found undefined alias", "quote a text that begins with `*`"),
    ("found unexpected end of stream", "close the quote"),
)

_QUOTE = 'put it in quotes, with its unit where it has one: "21:00", "7d", "10%"'


class Mismatch(Exception):
    """A value that does not have the shape it should; `pointer` says where in it, as `.a[2].b`."""

    def __init__(self, message: str, pointer: str, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.hint = hint


class _Loader(yaml.CSafeLoader):
    """YAML's safe loader, but a key given twice is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _broken("a key is one word", key)
            if key.value in seen and key.value != "<<":
                raise _broken(f"the key `{key.value}` is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_moment(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError as error:
            raise _broken(f"`{node.value}` is no moment: {error}", node) from None

    def construct_number(self, node: yaml.ScalarNode) -> int:
        number = self.construct_yaml_int(node)
        if not -(2**63) <= number < 2**64:
            raise _broken(f"`{node.value}` is too large a number", node)
        return number


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_moment)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)


def _broken(message: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def read(path: Path) -> str:
    """The text of a file of the project, which is UTF-8; a byte-order mark is dropped."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"cannot be read: {error.strerror}", Location(path)) from None
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProjectError(
            f"not UTF-8: {error.reason}", Location(path, line), "save the file as UTF-8"
        ) from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """The mapping at the top of a YAML file; an empty file is an empty mapping."""
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What is missing at the end is missed on the last line that has something on it.
        last = text.rstrip().count("\n") + 1
        line = min(mark.line + 1, last) if mark else None
        said = error.problem or ""
        hint = next((mend for start, mend in _MENDS if said.startswith(start)), None)
        raise ProjectError(f"broken YAML: {said}", Location(path, line), hint) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProjectError(f"broken YAML: {error.reason}", Location(path, line)) from None
    if value is None:
        return {}
    try:
        msgspec.msgpack.encode(value, enc_hook=str)
    except RecursionError:
        raise ProjectError("broken YAML: an alias stands for itself", Location(path)) from None
    if not isinstance(value, dict):
        raise ProjectError("a YAML file holds keys and values at its top", Location(path, 1))
    return value


def decode(value: Any, shape: type[T], path: Path, at: str = "$") -> T:
    """`value` as `shape`; `at` is the place of `value` in its file, as in `$.models[2].config`."""
    try:
        return convert(value, shape)
    except Mismatch as error:
        where = locate(path, at + error.pointer)
        raise ProjectError(error.message, where, error.hint) from None


def convert(value: Any, shape: type[T]) -> T:
    """`value` as `shape`; raises Mismatch where it has keys or values that `shape` cannot have."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise _mismatch(value, shape, str(error)) from None


def locate(path: Path, pointer: str) -> Location:
    """The line in a YAML file of `pointer`, as in `$.models[2].name`; read only when needed."""
    try:
        node: Any = yaml.compose(path.read_text("utf-8-sig"), _Loader)
    except (OSError, ValueError, yaml.YAMLError):
        return Location(path)
    line, rest = node.start_mark.line if node else 0, pointer.removeprefix("$")
    while rest:
        index = re.match(r"\[(\d+)\]", rest)
        if isinstance(node, yaml.MappingNode):
            pairs = [p for p in node.value if _leads(rest, str(p[0].value))]
            if not pairs:
                break
            key, node = max(pairs, key=lambda pair: len(pair[0].value))
            line, rest = key.start_mark.line, rest[len(key.value) + 1 :]
        elif isinstance(node, yaml.SequenceNode) and index and int(index[1]) < len(node.value):
            node = node.value[int(index[1])]
            line, rest = node.start_mark.line, rest[index.end() :]
        else:
            break
    return Location(path, line + 1)


def _leads(pointer: str, key: str) -> bool:
    """Whether a pointer begins with a key, which may have dots of its own."""
    return pointer.startswith(f".{key}") and pointer[len(key) + 1 :][:1] in ("", ".", "[")


def _mismatch(value: Any, shape: Any, complaint: str) -> Mismatch:
    """msgspec's complaint in plain words, at the exact key."""
    message, _, place = complaint.partition(" - at `")
    steps = _narrowed(value, shape, _steps(place.removeprefix("key` in `")))
    pointer = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
    if place.startswith("key`"):
        odd = next(key for key in _get(value, steps) if not isinstance(key, str))
        return Mismatch(f"the key `{odd}` is no text", pointer, f"quote it: '{odd}'")
    kind = _kind_at(shape, steps)
    names = [f"`{step}`" for step in steps if isinstance(step, str)]
    said = f"an entry of {names[-1]}" if names and isinstance(steps[-1], int) else "this"
    said = names[-1] if names and isinstance(steps[-1], str) else said
    quoted = re.search(r"field (`)(.*)`|value (['\"])(.*)\3", message)
    word = (quoted[2] or quoted[4] or "") if quoted else ""
    if "unknown field" in message:
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        # What stands in brackets is no key.
        known = [f.encode_name for f in fields if not f.encode_name.startswith("(")]
        hint = did_you_mean(word, known) or (f"it takes {', '.join(known)}" if known else None)
        return Mismatch(f"unknown key `{word}`", f"{pointer}.{word}", hint)
    if "missing required field" in message:
        return Mismatch(f"the key `{word}` is missing here", pointer)
    if "Invalid enum value" in message:
        known = [str(v) for v in kind.values] if isinstance(kind, inspect.LiteralType) else []
        hint = did_you_mean(word, known) or f"it takes {', '.join(known)}"
        return Mismatch(f"{said} cannot be `{word}`", pointer, hint)
    if message == "Invalid RFC3339 encoded date":
        odd = f"{said} takes {_WORDS['date']}, not `{_get(value, steps)}`"
        return Mismatch(odd, pointer)
    kinds = re.fullmatch(r"Expected `(.*)`, got `(.*)`", message)
    if not kinds:
        return _untrue(value, kind, steps, pointer, message)
    wanted = " or ".join(_WORDS.get(k, k) for k in kinds[1].split(" | ") if k != "null")
    hint = _QUOTE if wanted == _WORDS["str"] and kinds[2] in ("int", "float", "bool") else None
    return Mismatch(f"{said} takes {wanted}, not {_WORDS.get(kinds[2], kinds[2])}", pointer, hint)


def _untrue(
    value: Any, kind: inspect.Type, steps: list[Any], pointer: str, message: str
) -> Mismatch:
    """What a shape itself refuses: at the key that it names first, with the name of the entry."""
    first = re.search("`(.*?)`", message)
    fields = kind.fields if isinstance(kind, inspect.StructType) else ()
    if first and any(field.encode_name == first[1] for field in fields):
        pointer += f".{first[1]}"
    entry = _get(value, steps[:2]) if len(steps) > 1 else None
    if isinstance(entry, dict) and isinstance(steps[1], int) and "name" in entry:
        message = f"the {str(steps[0])[:-1].replace('_', ' ')} `{entry['name']}`: {message}"
    return Mismatch(message, pointer)


def _steps(pointer: str) -> list[Any]:
    """The keys and indexes of a pointer of msgspec's; None is any key of a dict, its `[...]`."""
    found = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]|\[\.\.\.\]", pointer)
    return [name or (int(index) if index else None) for name, index in found]


def _narrowed(value: Any, shape: Any, steps: list[Any]) -> list[Any]:
    """`steps` with the key in place of each None: the one whose value alone does not fit."""
    while None in steps:
        at = steps.index(None)
        for key, item in _get(value, steps[:at]).items():
            alone = _put(value, steps[:at], {key: item})
            try:
                msgspec.convert(alone, shape)
            except msgspec.ValidationError:
                value, steps = alone, [*steps[:at], key, *steps[at + 1 :]]
                break
        else:
            return steps[:at]
    return steps


def _get(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        value = value[step]
    return value


def _put(value: Any, steps: list[Any], new: Any) -> Any:
    """A copy of `value` with `new` at `steps`."""
    for end in range(len(steps), 0, -1):
        copy = _get(value, steps[: end - 1]).copy()
        copy[steps[end - 1]] = new
        new = copy
    return new


def _kind_at(shape: Any, steps: list[Any]) -> inspect.Type:
    """The type of what stands at `steps` in a value of type `shape`."""
    kind = _inner(inspect.type_info(shape))
    for step in steps:
        if isinstance(kind, inspect.StructType):
            kind = next((f.type for f in kind.fields if f.encode_name == step), kind)
        elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
            kind = kind.item_type
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
        kind = _inner(kind)
    return kind


def _inner(kind: inspect.Type) -> inspect.Type:
    """The one member of a union that has an inside, as in `Config | None`."""
    if isinstance(kind, inspect.UnionType):
        plain = inspect.NoneType | inspect.StrType
        return next((t for t in kind.types if not isinstance(t, plain)), kind)
    return kind
