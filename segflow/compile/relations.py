"""The names of tables, which `ref`, `source` and `this` return, and the clock's placeholder."""

import re
from datetime import datetime
from functools import cache

from msgspec import Struct

# Compiled SQL holds this instead of a time, so that it does not change from day to day.
AS_OF = "timestamp ':as_of'"

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that DuckDB does not take for the name of a column unless they stand in quotes.
_RESERVED = re.compile(
    "all|analyse|analyze|and|anti|any|array|as|asc|asof|asymmetric|at|authorization|binary|"
    "both|by|case|cast|check|collate|collation|column|concurrently|constraint|create|cross|"
    "default|deferrable|desc|describe|distinct|do|else|end|except|false|fetch|for|foreign|"
    "freeze|from|full|glob|group|having|ilike|in|initially|inner|intersect|into|is|isnull|"
    "join|lambda|lateral|leading|left|like|limit|map|natural|not|notnull|null|offset|on|only|"
    "or|order|outer|overlaps|pivot|pivot_longer|pivot_wider|placing|positional|primary|"
    "qualify|references|returning|right|select|semi|show|similar|some|struct|summarize|"
    "symmetric|table|tablesample|then|to|trailing|true|try_cast|union|unique|unpack|unpivot|"
    "user|using|variadic|verbose|when|where|window|with"
)
# The types of DuckDB by all their names, those of several words by the first.
TYPES = (
    "array|bigint|bignum|binary|bit|bitstring|blob|bool|boolean|bpchar|bytea|char|character|date|"
    "datetime|dec|decimal|double|enum|float|float4|float8|geometry|guid|hugeint|int|int1|int128|"
    "int16|int2|int32|int4|int64|int8|integer|integral|interval|json|list|logical|long|map|null|"
    "numeric|nvarchar|oid|real|row|short|signed|smallint|string|struct|text|time|time_ns|timestamp|"
    "timestamp_ms|timestamp_ns|timestamp_s|timestamp_us|timestamptz|timestamptz_ns|timetz|tinyint|"
    "tuple|type|ubigint|uhugeint|uint128|uint16|uint32|uint64|uint8|uinteger|union|usmallint|"
    "utinyint|uuid|varbinary|varchar|variant|varint"
)


@cache
def quoted(name: str) -> str:
    """`name` as an identifier, in double quotes only where it needs them."""
    if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """A moment (UTC, no zone) as a SQL literal in whole seconds."""
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def interval(duration: str) -> str:
    """A length of time, written as in `12h`, as a SQL literal."""
    return f"interval '{duration[:-1]} {_UNITS[duration[-1]]}'"


def at(sql: str, moment: datetime) -> str:
    """Compiled SQL with the clock filled in."""
    return sql.replace(AS_OF, timestamp(moment))


class Relation(Struct, frozen=True):
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
