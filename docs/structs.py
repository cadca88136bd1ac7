"""Structs and sentences in, tables of Markdown out: what `write_reference.py` builds with."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import yaml
from msgspec import NODEFAULT
from msgspec import inspect as shapes

from segflow.project import config, nodes, properties

Row = tuple[str, ...]
Struct = type[msgspec.Struct]

# Structs that have their tables on the page of configs, wherever else they are named.
CONFIGS: tuple[Struct, ...] = (
    properties.ModelConfig,
    properties.Contract,
    properties.Guards,
    properties.SegmentGuards,
    properties.AudienceConfig,
    properties.SeedConfig,
    properties.SourceConfig,
    properties.DataTestConfig,
    properties.NodeConfig,
)

_PLAIN = {
    shapes.StrType: "text",
    shapes.IntType: "number",
    shapes.FloatType: "number",
    shapes.BoolType: "`true` or `false`",
}


class Words:
    """What `words.yml` says, remembering what it was asked for."""

    def __init__(self, text: str):
        self._said: dict[str, Any] = yaml.safe_load(text)
        self._used: set[tuple[str, ...]] = set()
        self.missing: list[str] = []

    def names(self, section: str) -> list[str]:
        return list(self._said[section])

    def of(self, section: str, name: object, group: str = "") -> str:
        """The sentence for a name; empty, and noted, where there is none.

        A key of a struct that has none of its own has that of such a key `anywhere`.
        """
        found = self._entries(section, group).get(name)
        if found is None and section == "structs" and name in self._said["anywhere"]:
            return self.of("anywhere", name)
        if found is None:
            self.missing.append(f"{section} {group} {name}")
            return ""
        self._used.add((section, group, str(name)))
        return str(found).strip()

    def if_any(self, section: str, name: str, group: str = "") -> str:
        """The same for what may be left out."""
        return self.of(section, name, group) if name in self._entries(section, group) else ""

    def unused(self) -> Iterator[str]:
        """What it says of names that the code does not have."""
        for section, entries in self._said.items():
            for name, value in entries.items():
                inner = value if isinstance(value, dict) else {"": value}
                for key in inner:
                    used = (section, name, key) if key else (section, "", str(name))
                    if used not in self._used:
                        yield " ".join((section, *used[1:])).replace("  ", " ")

    def _entries(self, section: str, group: str) -> dict[Any, Any]:
        found: dict[Any, Any] = self._said[section]
        return found.get(group, {}) if group else found


def markdown_table(heads: Row, rows: Iterable[Row]) -> str:
    """A column that is empty throughout is left out; a table without rows is empty."""
    rows = list(rows)
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    lines = [heads, tuple("---" for _ in heads), *rows] if rows else []
    cells = ([line[i].replace("|", "\\|").replace("\n", " ") for i in kept] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def describe(words: Words, struct: Struct) -> Iterator[str]:
    """A heading, a sentence and a table with the keys of a YAML shape."""
    name = struct.__name__
    yield f"## {words.of('structs', 'title', name)}"
    goals = ", ".join(f"`{goal}`" for goal in nodes.GOALS)
    yield words.if_any("structs", "intro", name).replace("{goals}", goals)
    rows = []
    for key in fields_of(struct):
        meaning = words.of("structs", key.encode_name, name)
        rows.append((f"`{key.encode_name}`", _kind(words, key.type), _default(key), meaning))
    yield markdown_table(("key", "takes", "default", "meaning"), rows)


def fields_of(struct: Struct) -> tuple[shapes.Field, ...]:
    found = shapes.type_info(struct)
    assert isinstance(found, shapes.StructType)
    # A node also has what nobody can say, under names in brackets.
    return tuple(key for key in found.fields if not key.encode_name.startswith("("))


def reached_from(start: Struct) -> list[Struct]:
    """`start` and every struct below it but configs, each after the one that first names it."""
    found: list[Struct] = []

    def visit(kind: shapes.Type) -> None:
        if isinstance(kind, shapes.StructType) and kind.cls not in (*found, *CONFIGS):
            found.append(kind.cls)
            for key in fields_of(kind.cls):
                visit(key.type)
        for inner in _inside(kind):
            visit(inner)

    visit(shapes.type_info(start))
    return found


def _inside(kind: shapes.Type) -> tuple[shapes.Type, ...]:
    if isinstance(kind, shapes.UnionType):
        return kind.types
    if isinstance(kind, shapes.ListType | shapes.VarTupleType):
        return (kind.item_type,)
    return (kind.value_type,) if isinstance(kind, shapes.DictType) else ()


def _kind(words: Words, kind: shapes.Type) -> str:
    """A type in words; a struct is a link to its own table."""
    inner = [_kind(words, t) for t in _inside(kind) if not isinstance(t, shapes.NoneType)]
    if isinstance(kind, shapes.StructType):
        title = words.of("structs", "title", kind.cls.__name__)
        page = "configs.md" if kind.cls in CONFIGS else "yaml.md"
        page = "project-file.md" if kind.cls is config.PackageProperties else page
        return f"[{title.lower()}]({page}#{title.lower().replace(' ', '-')})"
    if isinstance(kind, shapes.LiteralType):
        return ", ".join(sorted({f"`{str(value).lower()}`" for value in kind.values}))
    if isinstance(kind, shapes.UnionType):
        return " or ".join(dict.fromkeys(text for text in inner if text))
    if isinstance(kind, shapes.ListType | shapes.VarTupleType):
        return f"list of {inner[0]}" if inner[0] else "list"
    if isinstance(kind, shapes.DictType):
        return f"mapping to {inner[0]}" if inner[0] else "mapping"
    return _PLAIN.get(type(kind), "")


def _default(key: shapes.Field) -> str:
    if key.required:
        return "required"
    value = key.default
    if key.default_factory is not NODEFAULT:
        value = key.default_factory()
    if (not value and value is not False) or isinstance(value, msgspec.Struct):
        return ""
    if value is NODEFAULT:
        return ""
    text = msgspec.json.encode(value).decode().replace('"', "").replace(":", ": ")
    return f"`{text}`"
