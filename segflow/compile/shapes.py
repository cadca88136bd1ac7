"""What a query makes of the tables it reads: columns, where each comes from, what decides the rows.

An origin is a column of a table in the database. What a table shows of some of its columns follows
from `rows` and from the origins of these columns alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlglot import exp

from segflow.compile.outlines import EVERYTHING, REPEATS, ROWS, Columns, lowered

# A table, as `schema.name` in lower case, and one of its columns.
Origin = tuple[str, str]
Origins = frozenset[Origin]
NOTHING: Origins = frozenset()

# Parts that decide which rows there are.
_DECIDING = ("where", "group", "having", "qualify", "windows", "distinct", "limit", "offset")

# Stands for all rows of the SELECT around it, until these are known.
ALL_ROWS: Origins = frozenset({("", "")})

# Inside these modules a column without a name of its own, as `count(*)`, is the empty string.
UNNAMED = ""


class Shape(NamedTuple):
    """A table inside a query.

    `columns` is None where they cannot be known; then each may come from anything in `rest`.
    `rows` decide which rows there are, `repeats` how often each of them comes: a left join keeps
    the rows of its left side, but may repeat them.
    """

    columns: Columns | None
    origins: tuple[Origins, ...] = ()
    rows: Origins = NOTHING
    repeats: Origins = NOTHING
    rest: Origins = NOTHING

    def may_have(self, name: str) -> bool:
        """Whether there may be such a column; where not all are known, it may be any."""
        return self.columns is None or name in self.columns or UNNAMED in self.columns

    def of(self, name: str) -> Origins:
        """What a column comes from."""
        if self.columns is None:
            return self.rest
        pairs = zip(self.columns, self.origins, strict=True)
        return union(origins for column, origins in pairs if column in (name, UNNAMED))

    def everything(self) -> Origins:
        return union((*self.origins, self.rows, self.rest))

    def adding(self, origins: Origins) -> Shape:
        """The same, where every column also comes from `origins`."""
        found = tuple(own | origins for own in self.origins)
        return self._replace(origins=found, rest=self.rest | origins)

    def named(self, names: list[str]) -> Shape:
        """The first columns under other names, as in `with cte (a, b) as …`."""
        if self.columns is None:
            return self
        given = tuple(lowered(name) for name in names)[: len(self.columns)]
        return self._replace(columns=distinct((*given, *self.columns[len(given) :])))

    def without(self, names: Iterable[str]) -> Shape:
        """Only the columns that are not among `names`; one without a name stays."""
        if self.columns is None:
            return self
        left_out = {*names} - {UNNAMED}
        pairs = zip(self.columns, self.origins, strict=True)
        kept = [(column, origins) for column, origins in pairs if column not in left_out]
        return self.of_pairs(kept)

    def of_pairs(self, pairs: Iterable[tuple[str, Origins]]) -> Shape:
        pairs = list(pairs)
        columns, origins = (tuple(part) for part in zip(*pairs, strict=True)) if pairs else ((), ())
        return self._replace(columns=columns, origins=origins)

    def beside(self, other: Shape) -> Shape:
        """The columns of both, as `*` shows them of a join; the rows stay those of the first."""
        rest = self.rest | other.rest
        if self.columns is None or other.columns is None:
            return Shape(None, (), self.rows, self.repeats, self.everything() | other.everything())
        columns, origins = self.columns + other.columns, self.origins + other.origins
        return Shape(columns, origins, self.rows, self.repeats, rest)


NO_TABLE = Shape(())


def table(key: str, columns: Columns | None) -> Shape:
    """A table of the database; what is read by a function, as a file may be, has no key."""
    rows, repeats = frozenset({(key, ROWS)}), frozenset({(key, REPEATS)})
    if columns is None:
        return Shape(None, (), rows, repeats, frozenset({(key, EVERYTHING)}))
    return Shape(columns, tuple(frozenset({(key, name)}) for name in columns), rows, repeats)


def anything(origins: Origins) -> Shape:
    """A table that is made of `origins` in a way that is not known."""
    return Shape(None, (), origins, origins, origins)


def united(left: Shape, right: Shape, is_by_name: bool, is_distinct: bool) -> Shape:
    """A set operation; unless it is `union all`, whole rows are compared."""
    both = left.everything() | right.everything()
    rows = both if is_distinct else left.rows | right.rows
    repeats = NOTHING if is_distinct else left.repeats | right.repeats
    if left.columns is None or (is_by_name and right.columns is None):
        return Shape(None, (), rows, repeats, both)
    if is_by_name:
        columns = tuple(dict.fromkeys((*left.columns, *(right.columns or ()))))
        origins = [left.of(name) | right.of(name) for name in columns]
    else:
        columns = left.columns
        others = right.origins + (right.rest,) * len(columns)
        origins = [own | other for own, other in zip(left.origins, others, strict=False)]
    return Shape(columns, tuple(origins), rows, repeats)


def distinct(columns: Columns) -> Columns:
    """Names as a table gets them: a name that comes again gets a number, as in `id_1`."""
    if len(set(columns)) == len(columns):
        return columns
    found: list[str] = []
    for column in columns:
        name, number = column, 1
        while name != UNNAMED and name in found:
            name, number = f"{column}_{number}", number + 1
        found.append(name)
    return tuple(found)


def union(parts: Iterable[Origins]) -> Origins:
    return NOTHING.union(*parts)


def with_rows(node: exp.Select, shape: Shape, clauses: dict[str, Origins]) -> Shape:
    """What a SELECT makes of its items, once all that decides its rows is known."""
    group, unique, limit = (node.args.get(key) for key in ("group", "distinct", "limit"))
    is_first = limit is not None or bool(unique and unique.args.get("on"))
    rows = shape.rows | union(clauses[key] for key in _DECIDING if key in clauses)
    rows |= clauses["order"] if is_first and "order" in clauses else NOTHING
    for key in group.expressions if group else ():
        place = int(key.name) if isinstance(key, exp.Literal) and not key.is_string else 0
        rows |= union(shape.origins[place - 1 : place])
    if group and group.args.get("all"):
        rows |= union(origins for origins in shape.origins if not origins & ALL_ROWS)
    every = (rows | shape.repeats) - ALL_ROWS

    def settled(origins: Origins) -> Origins:
        return (origins - ALL_ROWS) | every if origins & ALL_ROWS else origins

    repeats = NOTHING if group or unique else shape.repeats
    if not group and any(map(_is_aggregate, node.expressions)):
        rows, repeats = clauses.get("having", NOTHING), NOTHING
    shape = Shape(
        shape.columns,
        tuple(map(settled, shape.origins)),
        settled(rows | ALL_ROWS if limit is not None else rows),
        repeats,
        settled(shape.rest),
    )
    return shape._replace(rows=shape.everything()) if unique and not is_first else shape


def _is_aggregate(item: exp.Expr) -> bool:
    """Whether an item makes one row of all rows."""
    inside = item.walk(prune=lambda node: isinstance(node, exp.Window | exp.Query))
    return any(isinstance(node, exp.AggFunc) for node in inside)


# Tables by the name that a query has for them.
Tables = dict[str, Shape]


@dataclass
class Frame:
    """What one SELECT can name: its tables, its aliases, and what the SELECT around it can name.

    `merged` are columns, by table, that USING made one with a column before them; `star` is what
    `*` stands for, its rows those of the SELECT so far.
    """

    outer: Frame | None
    tables: Tables = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    names: dict[str, Origins] = field(default_factory=dict)
    merged: set[tuple[str, str]] = field(default_factory=set)
    star: Shape = NO_TABLE

    def with_names(self, names: Iterable[str]) -> Frame:
        """A frame inside this one that knows a few names more, as in a lambda."""
        return Frame(self, names=dict.fromkeys(names, NOTHING))

    def chain(self) -> Iterator[Frame]:
        frame: Frame | None = self
        while frame:
            yield frame
            frame = frame.outer

    def find(self, parts: list[str]) -> Origins | None:
        """What `a`, `t.a`, `a.field` or `schema.t.a` comes from; None if it means nothing here."""
        first = parts[0]
        found = [self.names[first]] if first in self.names else []
        if len(parts) == 1 or first not in self.tables:
            for key, shape in self.tables.items():
                if (key, first) not in self.merged and shape.may_have(first):
                    found.append(shape.of(first))
            if not found and first in self.tables:
                found.append(self.tables[first].everything())
            if not found and len(parts) > 1 and self.schemas.get(parts[1]) == first:
                return self.find(parts[1:])
        else:
            for shape in self.tables.values():
                if shape.columns is not None and first in shape.columns:
                    found.append(shape.of(first))
            if self.tables[first].may_have(parts[1]):
                found.append(self.tables[first].of(parts[1]))
        return union(found) if found else None

    def everything(self) -> Origins:
        return union(
            shape.everything() for frame in self.chain() for shape in frame.tables.values()
        )
