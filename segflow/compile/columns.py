"""A parsed SELECT and the columns of the tables it may read in; its own columns and problems out.

The rules are DuckDB's. Whatever cannot be known for certain stays open: an unknown column is
reported only where DuckDB would refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from segflow.compile.outlines import Columns, Problem, lowered
from segflow.errors import did_you_mean

# What DuckDB takes for a function without brackets, and what every table has besides its columns.
_BARE = {
    *("current_catalog", "current_role", "current_schema", "current_user", "session_user"),
    *("user", "rowid"),
}
# Calls that are certain to return a list, so that `unnest` of them is one column.
_LISTS = (exp.Array, exp.ArrayAgg, exp.GenerateSeries, exp.Split)

# What a list comprehension names: its element and its position.
_VARIABLES = ("expression", "position")

# Inside this module a column without a name of its own, as `count(*)`, is the empty string.
_UNNAMED = ""

Tables = dict[str, Columns | None]


def resolve(
    query: exp.Expr, known: Mapping[str, Columns | None]
) -> tuple[Columns | None, list[Problem]]:
    """The columns of a query, None where they cannot be known, and every column it lacks.

    Args:
        known: columns of the tables it may read, keyed by `schema.name` in lower case.
    """
    resolver = _Resolver(known)
    columns = _distinct(resolver.query(query, {}, None))
    named = None if columns is None or _UNNAMED in columns else columns
    return named, sorted(resolver.problems, key=lambda problem: problem.offset or 0)


@dataclass
class _Frame:
    """What one SELECT can name: its tables, its aliases, and what the SELECT around it can name."""

    outer: _Frame | None
    tables: Tables = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    # The columns that `*` stands for.
    star: Columns | None = ()

    def with_names(self, names: Iterable[str]) -> _Frame:
        """A frame inside this one that knows a few names more, as in a lambda."""
        return _Frame(self, names=set(names))

    def chain(self) -> Iterator[_Frame]:
        frame: _Frame | None = self
        while frame:
            yield frame
            frame = frame.outer

    def has(self, parts: list[str]) -> bool:
        """Whether `a`, `t.a`, `a.field` or `schema.t.a` may mean something here."""
        first, columns = parts[0], self.tables.values()
        if first in self.names:
            return True
        if len(parts) == 1 or first not in self.tables:
            if first in self.tables or any(_may_have(found, first) for found in columns):
                return True
            return len(parts) > 1 and self.schemas.get(parts[1]) == first and self.has(parts[1:])
        if any(found is not None and first in found for found in columns):
            return True
        return parts[1] in _BARE or _may_have(self.tables[first], parts[1])


class _Resolver:
    """Walks a query from the outside in and notes every column that no table in sight has."""

    def __init__(self, known: Mapping[str, Columns | None]):
        self._known = known
        self.problems: list[Problem] = []

    def query(self, node: exp.Expr, ctes: Tables, outer: _Frame | None) -> Columns | None:
        """The columns of a query; some may be without a name."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, outer)
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            return self.query(node.this, ctes, outer)
        if isinstance(node, exp.Values):
            self._walk(node.expressions, _Frame(outer), ctes)
            row = node.expressions[0]
            return tuple(f"col{i}" for i, _ in enumerate(row.expressions or [row]))
        return None

    def _with(self, node: exp.Expr, ctes: Tables, outer: _Frame | None) -> Tables:
        clause = node.args.get("with_")
        if clause is None:
            return ctes
        found = dict(ctes)
        for cte in clause.expressions:
            body, names, name = cte.this, cte.alias_column_names, lowered(cte.alias)
            if clause.args.get("recursive") and isinstance(body, exp.SetOperation):
                inside = self._with(body, {**found, name: None}, outer)
                first = _named(names, self.query(body.this, inside, outer))
                self.query(body.expression, {**inside, name: first}, outer)
                found[name] = first
            else:
                found[name] = _named(names, self.query(body, found, outer))
        return found

    def _set_operation(
        self, node: exp.SetOperation, ctes: Tables, outer: _Frame | None
    ) -> Columns | None:
        # A long chain of unions leans to the left; a loop keeps clear of Python's recursion limit.
        chain: list[exp.SetOperation] = [node]
        while isinstance(chain[-1].this, exp.SetOperation) and not chain[-1].this.args.get("with_"):
            chain.append(chain[-1].this)
        columns = self.query(chain[-1].this, ctes, outer)
        for operation in reversed(chain):
            right = self.query(operation.expression, ctes, outer)
            if operation.args.get("by_name"):
                columns = _by_name(columns, right)
        return columns

    def _select(self, node: exp.Select, ctes: Tables, outer: _Frame | None) -> Columns | None:
        frame = _Frame(outer)
        start = node.args.get("from_")
        if start:
            frame.star = self._table(start.this, frame, ctes)
        joined = [*(node.args.get("joins") or []), *(node.args.get("laterals") or [])]
        for join in joined:
            self._join(join, frame, ctes)
        frame.names |= set(_aliases(node))
        columns = self._items(node, frame)
        # ORDER BY can also name what the SELECT makes of `columns(…)`.
        made = frame if columns is not None else _Frame(frame, {"#": None})
        for key, value in node.args.items():
            if key not in ("from_", "joins", "laterals", "with_", "sample", "kind"):
                within = made if key == "order" else frame
                self._walk(value if isinstance(value, list) else [value], within, ctes)
        for join in joined:
            self._walk([join.args.get("on")], frame, ctes)
        return columns

    def _items(self, node: exp.Select, frame: _Frame) -> Columns | None:
        """The columns that the items of a SELECT become."""
        columns: list[str] = []
        is_whole = True
        for item in node.expressions:
            found = self._item(item, frame)
            is_whole = is_whole and found is not None
            columns.extend(found or ())
        return tuple(columns) if is_whole else None

    def _item(self, item: exp.Expr, frame: _Frame) -> Columns | None:
        """The columns that one item of a SELECT becomes."""
        if isinstance(item, exp.Star):
            return self._starred(item, frame.star)
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            plain = lowered(item.table) if not item.args.get("db") else ""
            return self._starred(item.this, frame.tables.get(plain))
        if _is_several(item):
            return None
        if isinstance(item, exp.Alias | exp.Column):
            return (lowered(item.alias_or_name),)
        if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
            return (lowered(item.expression.name),)
        return (_UNNAMED,)

    # ── tables ────────────────────────────────────────────────────────────────────────────────

    def _join(self, join: exp.Expr, frame: _Frame, ctes: Tables) -> None:
        """Add a joined table; columns that USING merges come once in `*`."""
        if not isinstance(join, exp.Join):
            frame.star = _plus(frame.star, self._table(join, frame, ctes))
            return
        left = frame.star
        right = self._table(join.this, frame, ctes)
        merged = {
            lowered(identifier.name): identifier for identifier in join.args.get("using") or []
        }
        for name, identifier in merged.items():
            if not _may_have(right, name):
                self._unknown(identifier, f"the joined table has no column `{name}`", right or ())
            elif not _may_have(left, name):
                self._unknown(identifier, f"no table before the join has `{name}`", left or ())
        if join.kind in ("SEMI", "ANTI"):
            return
        common = left if join.method == "NATURAL" else tuple(merged)
        shown = right and tuple(c for c in right if c not in (common or ()) or c == _UNNAMED)
        frame.star = _plus(left, shown)

    def _table(self, node: exp.Expr, frame: _Frame, ctes: Tables) -> Columns | None:
        """Add one table of FROM or JOIN to the frame; the columns that `*` shows of it."""
        inside = node.this
        is_bracket = isinstance(node, exp.Subquery) and not isinstance(inside, exp.Query)
        if is_bracket and not node.alias and isinstance(inside, exp.Table):
            return self._table(inside, frame, ctes)
        columns, alias = self._columns_of(node, frame, ctes), node.alias_or_name
        for pivot in node.args.get("pivots") or []:
            columns, alias = None, pivot.alias or alias
        columns = _named(node.alias_column_names, columns)
        key = lowered(alias) or f"#{len(frame.tables)}"
        # Two tables of one name cannot be told apart.
        frame.tables[key] = None if key in frame.tables else columns
        if isinstance(node, exp.Table) and node.db and not node.alias:
            frame.schemas[key] = lowered(node.db)
        star = columns
        for join in node.args.get("joins") or []:
            before, frame.star = frame.star, star
            self._join(join, frame, ctes)
            self._walk([join.args.get("on")], frame, ctes)
            frame.star, star = before, frame.star
        return star

    def _columns_of(self, node: exp.Expr, frame: _Frame, ctes: Tables) -> Columns | None:
        inside = node.this
        if isinstance(node, exp.Table) and isinstance(inside, exp.Identifier):
            if not node.db and lowered(node.name) in ctes:
                return ctes[lowered(node.name)]
            return None if node.catalog else self._known.get(lowered(f"{node.db}.{node.name}"))
        if isinstance(node, exp.Table | exp.Unnest):
            given = node.expressions if isinstance(node, exp.Unnest) else _arguments(inside)
            self._walk(given, frame, ctes)
            is_one = isinstance(node, exp.Unnest) and not node.args.get("offset")
            return (_UNNAMED,) if is_one or isinstance(inside, exp.GenerateSeries) else None
        if isinstance(node, exp.Values):
            return self.query(node, ctes, frame)
        if isinstance(node, exp.Subquery | exp.Lateral) and isinstance(inside, exp.Query):
            return self.query(inside, ctes, frame)
        if isinstance(node, exp.Subquery) and isinstance(inside, exp.Table):
            return self._table(inside, _Frame(frame.outer), ctes)
        return None

    # ── expressions ───────────────────────────────────────────────────────────────────────────

    def _walk(self, roots: Iterable[object], frame: _Frame, ctes: Tables) -> None:
        """Check every column below `roots`; a query inside one is resolved on its own."""
        left: list[tuple[object, _Frame]] = [(root, frame) for root in roots]
        while left:
            node, frame = left.pop()
            if not isinstance(node, exp.Expr) or isinstance(node, exp.Columns):
                continue
            if isinstance(node, exp.Query | exp.Values):
                self.query(node, ctes, frame)
            elif isinstance(node, exp.Column):
                star = node.this if isinstance(node.this, exp.Star) else None
                if star:
                    left.append((star, frame))
                else:
                    self._column(node, frame)
            elif isinstance(node, exp.Star):
                left.extend((item.this, frame) for item in node.args.get("replace") or [])
            elif isinstance(node, exp.Lambda):
                names = [lowered(item.name) for item in node.expressions]
                left.append((node.this, frame.with_names(names)))
            elif isinstance(node, exp.Comprehension):
                names = [
                    lowered(node.args[k].name)
                    for k in ("expression", "position")
                    if node.args.get(k)
                ]
                within = frame.with_names(names)
                left.append((node.args.get("iterator"), frame))
                left += [(node.this, within), (node.args.get("condition"), within)]
            elif isinstance(node, exp.PropertyEQ | exp.Kwarg):
                left.append((node.expression, frame))
            else:
                left.extend((child, frame) for child in node.iter_expressions())

    def _column(self, column: exp.Column, frame: _Frame) -> None:
        parts = [lowered(part.name) for part in column.parts]
        if parts[0] in _BARE or any(scope.has(parts) for scope in frame.chain()):
            return
        visible: Tables = {}
        names: set[str] = set()
        for scope in frame.chain():
            visible = {**scope.tables, **visible}
            names |= scope.names
        if len(parts) > 1 and parts[0] in visible:
            found = visible[parts[0]] or ()
            self._unknown(column.parts[1], f"`{parts[0]}` has no column `{parts[1]}`", found)
        elif len(parts) > 1:
            tables = [name for name in visible if not name.startswith("#")]
            self._unknown(column.parts[0], f"no table here is called `{parts[0]}`", tables)
        else:
            everything = {name for found in visible.values() for name in found or ()} | names
            self._unknown(column.this, f"no table here has a column `{parts[0]}`", everything)

    def _starred(self, star: exp.Star, columns: Columns | None) -> Columns | None:
        """`* exclude (a) rename (b as c)`; `replace` keeps the names."""
        excluded = star.args.get("except_") or []
        replaced = [item.args["alias"] for item in star.args.get("replace") or []]
        renamed = {lowered(i.this.name): lowered(i.alias) for i in star.args.get("rename") or []}
        if columns is None or any(isinstance(i, exp.Column) and i.table for i in excluded):
            return None
        # One name for two columns, as after a join: which of them is meant is DuckDB's to say.
        if any(columns.count(lowered(item.name)) > 1 for item in replaced):
            return None
        for item in [*excluded, *replaced]:
            if not _may_have(columns, lowered(item.name)):
                what = f"`*` has no column `{lowered(item.name)}`"
                self._unknown(
                    item if isinstance(item, exp.Identifier) else item.this, what, columns
                )
        left_out = {lowered(item.name) for item in excluded}
        return tuple(renamed.get(name, name) for name in columns if name not in left_out)

    def _unknown(self, part: exp.Expr, message: str, names: Iterable[str]) -> None:
        hint = did_you_mean(lowered(part.name), sorted(set(names)))
        self.problems.append(Problem(message, part.meta.get("start"), hint))


def _aliases(node: exp.Select) -> Iterator[str]:
    """The names that a SELECT gives to its items, by which its other items can call them."""
    for item in node.expressions:
        if isinstance(item, exp.Alias):
            yield lowered(item.alias)
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            yield from (lowered(renamed.alias) for renamed in star.args.get("rename") or [])


def _may_have(columns: Columns | None, name: str) -> bool:
    """Whether a table may have a column; one whose columns are not all known may have any."""
    return columns is None or name in columns or _UNNAMED in columns


def _plus(left: Columns | None, right: Columns | None) -> Columns | None:
    return None if left is None or right is None else left + right


def _by_name(left: Columns | None, right: Columns | None) -> Columns | None:
    """The columns of `union by name`: those of the left, then what only the right has."""
    both = _plus(left, right)
    return None if both is None else tuple(dict.fromkeys(both))


def _named(names: list[str], columns: Columns | None) -> Columns | None:
    """`columns`, the first of them under other names, as in `with cte (a, b) as …`."""
    if columns is None:
        return None
    given = tuple(lowered(name) for name in names)
    return _distinct((*given, *columns[len(given) :]))


def _distinct(columns: Columns | None) -> Columns | None:
    """Names as a table gets them: a name that comes again gets a number, as in `id_1`."""
    if columns is None or len(set(columns)) == len(columns):
        return columns
    found: list[str] = []
    for column in columns:
        name, number = column, 1
        while name != _UNNAMED and name in found:
            name, number = f"{column}_{number}", number + 1
        found.append(name)
    return tuple(found)


def _arguments(function: exp.Expr) -> Iterator[exp.Expr]:
    """The arguments of a table function; of `header = true` only what stands on the right."""
    for child in function.iter_expressions():
        yield child.expression if isinstance(child, exp.EQ) else child


def _is_several(item: exp.Expr) -> bool:
    """Whether an item may become several columns: `columns(…)`, `* like …`, `unnest(a_struct)`."""
    inside = item.unalias()
    if isinstance(inside, exp.Explode):
        return bool(inside.expressions) or not isinstance(inside.this, _LISTS)
    return any(
        isinstance(node, exp.Columns) or (isinstance(node, exp.Star) and not _is_count(node))
        for node in inside.walk(prune=lambda n: isinstance(n, exp.Query))
    )


def _is_count(star: exp.Star) -> bool:
    return isinstance(star.parent, exp.Count)
