"""What is known of a SELECT from outside. Kept apart from the parser, which is slow to import."""

import re
from collections.abc import Mapping

from msgspec import Struct

Columns = tuple[str, ...]

# Beside its columns, what a reader can take from a table: which rows there are, how often each of
# them comes, and whatever columns it has.
ROWS, REPEATS, EVERYTHING = " rows", " repeats", " everything"

_CAPITALS = re.compile("[A-Z]+")


class Problem(Struct, frozen=True):
    """Something wrong in compiled SQL; `offset` counts characters from its start."""

    message: str
    offset: int | None = None
    hint: str | None = None


class Lineage(Struct, frozen=True):
    """What each column of a SELECT comes from, and what its ROWS and REPEATS do.

    `origins` are columns of tables by `schema.name` in lower case; `columns` have their places.
    """

    origins: tuple[tuple[str, str], ...]
    columns: dict[str, tuple[int, ...]]


class Outline(Struct, frozen=True):
    """What a SELECT shows from outside.

    `columns` are lower case and in order, None where they cannot be known; `conditions` are the
    names of columns that decide which rows there are. `clocks` make the result depend on when or
    how often it runs; `unstable` are calls whose ties differ between runs. `lineage` is packed, as
    it is seldom asked for, and empty where it is not known; `digest` changes with the SQL, but
    for comments, formatting and needless brackets.
    """

    columns: Columns | None = None
    problems: tuple[Problem, ...] = ()
    clocks: tuple[Problem, ...] = ()
    unstable: tuple[Problem, ...] = ()
    conditions: frozenset[str] = frozenset()
    lineage: bytes = b""
    digest: str = ""


def lowered(name: str) -> str:
    """A name as DuckDB compares it: of its capitals only A to Z do not count."""
    return name.lower() if name.isascii() else _CAPITALS.sub(lambda m: m[0].lower(), name)


def outline(sql: str, known: Mapping[str, Columns | None]) -> Outline:
    """Parse one SELECT and resolve its columns.

    Args:
        known: columns of the tables it may read, keyed by `schema.name` in lower case.
    """
    # Only a model that changed since the last command needs the parser.
    from segflow.compile import statements

    return statements.outline(sql, known)
