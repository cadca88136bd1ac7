"""The names of tables, which `ref`, `source` and `this` return, and the clock's placeholder."""

import re
from dataclasses import dataclass
from datetime import datetime

# Compiled SQL holds this instead of a time, so that it does not change from day to day.
AS_OF = "timestamp ':as_of'"

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = {
    "all",
    "as",
    "default",
    "end",
    "from",
    "group",
    "order",
    "select",
    "table",
    "to",
    "user",
}


def quoted(name: str) -> str:
    """`name` as an identifier, in double quotes only where it needs them."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """A moment (UTC, no zone) as a SQL literal in whole seconds."""
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"


def at(sql: str, moment: datetime) -> str:
    """Compiled SQL with the clock filled in."""
    return sql.replace(AS_OF, timestamp(moment))


@dataclass(frozen=True)
class Relation:
    """A table or view by schema and name; `text` replaces both where the data has no name.

    A file has the text `'path'`, an ephemeral model its SELECT in brackets.
    """

    schema: str
    identifier: str
    text: str | None = None

    @property
    def name(self) -> str:
        return self.identifier

    def render(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text or f"{quoted(self.schema)}.{quoted(self.identifier)}"
