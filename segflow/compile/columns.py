"""A parsed SELECT and the columns of the tables it may read in; its own columns, each with what it
comes from, and problems out.

The rules are DuckDB's. Whatever cannot be known for certain stays open: an unknown column is
reported only where DuckDB would refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from segflow.compile.outlines import Columns, Problem, lowered
from segflow.compile.shapes import (
    ALL_ROWS,
    NO_TABLE,
    NOTHING,
    UNNAMED,
    Frame,
    Origins,
    Shape,
    Tables,
    anything,
    distinct,
    table,
    union,
    united,
    with_rows,
)
from segflow.errors import did_you_mean

# What DuckDB takes for a function without brackets, and what every table has besides its columns.
_BARE = {
    *("current_catalog", "current_role", "current_schema", "current_user", "session_user"),
    *("user", "rowid"),
}
# Calls that are certain to return a list, so that `unnest` of them is one column.
_LISTS = (exp.Array, exp.ArrayAgg, exp.GenerateSeries, exp.Split)
# What looks at more than one row; a function that the parser does not know may.
_ACROSS = (exp.AggFunc, exp.Window, exp.Anonymous)

# Parts of a SELECT that are looked at on their own, or that no column can be in.
_ELSEWHERE = ("from_", "joins", "laterals", "with_", "sample", "kind", "expressions")

# What a list comprehension names: its element and its position.
_VARIABLES = ("expression", "position")


def resolve(query: exp.Expr, known: Mapping[str, Columns | None]) -> tuple[Shape, list[Problem]]:
    """What a query becomes, and every column it lacks.

    Args:
        known: columns of the tables it may read, keyed by `schema.name` in lower case.
    """
    resolver = _Resolver(known)
    shape = resolver.query(query, {}, None)
    if shape.columns is not None:
        named = None if UNNAMED in shape.columns else distinct(shape.columns)
        shape = shape._replace(columns=named)
    return shape, sorted(resolver.problems, key=lambda problem: problem.offset or 0)


class _Resolver:
    """Walks a query from the outside in and notes every column that no table in sight has."""

    def __init__(self, known: Mapping[str, Columns | None]):
        self._known = known
        self.problems: list[Problem] = []

    def query(self, node: exp.Expr, ctes: Tables, outer: Frame | None) -> Shape:
        """What a query becomes; some of its columns may be without a name."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            shape = self._set_operation(node, ctes, outer)
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            shape = self.query(node.this, ctes, outer)
        elif isinstance(node, exp.Values):
            row = node.expressions[0]
            names = tuple(f"col{i}" for i, _ in enumerate(row.expressions or [row]))
            found = self._walk(node.expressions, Frame(outer), ctes)
            shape = Shape(names, (found,) * len(names))
        else:
            tables = (self._base(found, ctes) for found in node.find_all(exp.Table))
            shape = anything(union(one.everything() | one.repeats for one in tables))
        if node.args.get("limit") or node.args.get("offset"):
            shape = shape._replace(rows=shape.everything() | shape.repeats)
        return shape

    def _with(self, node: exp.Expr, ctes: Tables, outer: Frame | None) -> Tables:
        clause = node.args.get("with_")
        if clause is None:
            return ctes
        found = dict(ctes)
        for cte in clause.expressions:
            body, names, name = cte.this, cte.alias_column_names, lowered(cte.alias)
            if clause.args.get("recursive") and isinstance(body, exp.SetOperation):
                inside = self._with(body, {**found, name: Shape(None)}, outer)
                first = self.query(body.this, inside, outer).named(names)
                second = self.query(body.expression, {**inside, name: first}, outer)
                both = first.everything() | second.everything() | first.repeats | second.repeats
                found[name] = first.adding(both)._replace(rows=both, repeats=both)
            else:
                found[name] = self.query(body, found, outer).named(names)
        return found

    def _set_operation(self, node: exp.SetOperation, ctes: Tables, outer: Frame | None) -> Shape:
        # A long chain of unions leans to the left; a loop keeps clear of Python's recursion limit.
        chain: list[exp.SetOperation] = [node]
        while isinstance(chain[-1].this, exp.SetOperation) and not chain[-1].this.args.get("with_"):
            chain.append(chain[-1].this)
        shape = self.query(chain[-1].this, ctes, outer)
        for operation in reversed(chain):
            right = self.query(operation.expression, ctes, outer)
            is_distinct = not isinstance(operation, exp.Union) or bool(operation.args["distinct"])
            shape = united(shape, right, bool(operation.args.get("by_name")), is_distinct)
        return shape

    def _select(self, node: exp.Select, ctes: Tables, outer: Frame | None) -> Shape:
        frame = Frame(outer)
        start = node.args.get("from_")
        if start:
            frame.star = self._table(start.this, frame, ctes)
        for join in [*(node.args.get("joins") or []), *(node.args.get("laterals") or [])]:
            self._join(join, frame, ctes)
        frame.names = dict.fromkeys(_aliases(node), NOTHING)
        shape = frame.star._replace(columns=(), origins=(), rest=NOTHING)
        for item in node.expressions:
            shape = shape.beside(self._item(item, frame, ctes))
        # ORDER BY can also name what the SELECT makes of `columns(…)`.
        made = frame if shape.columns is not None else Frame(frame, {"#": shape})
        clauses: dict[str, Origins] = {}
        for key, value in node.args.items():
            if value and key not in _ELSEWHERE:
                within = made if key == "order" else frame
                parts = value if isinstance(value, list) else [value]
                clauses[key] = self._walk(parts, within, ctes)
        return with_rows(node, shape, clauses)

    def _item(self, item: exp.Expr, frame: Frame, ctes: Tables) -> Shape:
        """The columns that one item of a SELECT becomes."""
        shown, star = frame.star, item
        if isinstance(item, exp.Column):
            plain = lowered(item.table) if not item.args.get("db") else ""
            shown, star = frame.tables.get(plain, Shape(None)), item.this
        if isinstance(star, exp.Star):
            put = {
                lowered(put.alias): self._walk([put.this], frame, ctes)
                for put in star.args.get("replace") or []
            }
            return self._starred(star, shown, put)
        origins = self._walk([item], frame, ctes)
        if _is_several(item):
            return anything(origins)
        name = UNNAMED
        if isinstance(item, exp.Alias | exp.Column):
            name = lowered(item.alias_or_name)
        elif isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
            name = lowered(item.expression.name)
        if name in frame.names:
            frame.names[name] |= origins
        return Shape((name,), (origins,))

    # ── tables ────────────────────────────────────────────────────────────────────────────────

    def _join(self, join: exp.Expr, frame: Frame, ctes: Tables) -> None:
        """Add a joined table; columns that USING merges come once in `*`."""
        left, before = frame.star, set(frame.tables)
        right = self._table(join.this if isinstance(join, exp.Join) else join, frame, ctes)
        if not isinstance(join, exp.Join):
            frame.star = left.beside(right)._replace(rows=left.rows | right.rows)
            return
        merged = {
            lowered(identifier.name): identifier for identifier in join.args.get("using") or []
        }
        for name, identifier in merged.items():
            if not right.may_have(name):
                names = right.columns or ()
                self._unknown(identifier, f"the joined table has no column `{name}`", names)
            elif not left.may_have(name):
                names = left.columns or ()
                self._unknown(identifier, f"no table before the join has `{name}`", names)
        common = left.columns or () if join.method == "NATURAL" else tuple(merged)
        keys = union(shape.of(name) for shape in (left, right) for name in common)
        on = keys | self._walk([join.args.get("on")], frame, ctes)
        rows, repeats = left.rows | right.rows | on, left.repeats | right.repeats
        if join.side == "LEFT" and join.kind not in ("SEMI", "ANTI"):
            rows, repeats = left.rows, repeats | right.rows | on
            for key in frame.tables.keys() - before:
                frame.tables[key] = frame.tables[key].adding(right.rows | on)
            right = right.adding(right.rows | on)
        if join.side in ("", "LEFT"):
            frame.merged |= {(key, c) for key in frame.tables.keys() - before for c in common}
        is_filter = join.kind in ("SEMI", "ANTI")
        shown = left if is_filter else left.beside(right.without(common))
        frame.star = shown._replace(rows=rows, repeats=repeats)

    def _table(self, node: exp.Expr, frame: Frame, ctes: Tables) -> Shape:
        """Add one table of FROM or JOIN to the frame; what `*` shows of it."""
        inside = node.this
        is_bracket = isinstance(node, exp.Subquery) and not isinstance(inside, exp.Query)
        if is_bracket and not node.alias and isinstance(inside, exp.Table):
            return self._table(inside, frame, ctes)
        shape, alias = self._shape_of(node, frame, ctes), node.alias_or_name
        for pivot in node.args.get("pivots") or []:
            shape, alias = anything(shape.everything() | shape.repeats), pivot.alias or alias
        shape = shape.named(node.alias_column_names)
        key = lowered(alias) or f"#{len(frame.tables)}"
        # Two tables of one name cannot be told apart.
        twin = frame.tables.get(key)
        frame.tables[key] = anything(twin.everything() | shape.everything()) if twin else shape
        if isinstance(node, exp.Table) and node.db and not node.alias:
            frame.schemas[key] = lowered(node.db)
        for join in node.args.get("joins") or []:
            before, frame.star = frame.star, shape
            self._join(join, frame, ctes)
            frame.star, shape = before, frame.star
        return shape

    def _shape_of(self, node: exp.Expr, frame: Frame, ctes: Tables) -> Shape:
        inside = node.this
        if isinstance(node, exp.Table) and isinstance(inside, exp.Identifier):
            return self._base(node, ctes)
        if isinstance(node, exp.Table | exp.Unnest):
            given = node.expressions if isinstance(node, exp.Unnest) else _arguments(inside)
            read = NOTHING if isinstance(node, exp.Unnest) else table("", None).everything()
            made_of = anything(read | self._walk(given, frame, ctes))
            is_one = isinstance(node, exp.Unnest) and not node.args.get("offset")
            if is_one or isinstance(inside, exp.GenerateSeries):
                return made_of._replace(columns=(UNNAMED,), origins=(made_of.rest,))
            return made_of
        if isinstance(node, exp.Values):
            return self.query(node, ctes, frame)
        if isinstance(node, exp.Subquery | exp.Lateral) and isinstance(inside, exp.Query):
            return self.query(inside, ctes, frame)
        if isinstance(node, exp.Subquery) and isinstance(inside, exp.Table):
            return self._table(inside, Frame(frame.outer), ctes)
        return self.query(node, ctes, frame)

    def _base(self, node: exp.Table, ctes: Tables) -> Shape:
        """A table by its name: a CTE, or one of the database."""
        if not node.db and lowered(node.name) in ctes:
            return ctes[lowered(node.name)]
        key = lowered(f"{node.db}.{node.name}")
        return table(key, None if node.catalog else self._known.get(key))

    # ── expressions ───────────────────────────────────────────────────────────────────────────

    def _walk(self, roots: Iterable[object], frame: Frame, ctes: Tables) -> Origins:
        """Check every column below `roots`, and what all of it comes from.

        A query inside an expression is resolved on its own.
        """
        left: list[tuple[object, Frame]] = [(root, frame) for root in roots]
        found: list[Origins] = []
        while left:
            node, frame = left.pop()
            if isinstance(node, exp.Columns):
                found.append(frame.everything())
            elif not isinstance(node, exp.Expr):
                continue
            elif isinstance(node, exp.Query | exp.Values):
                found.append(self.query(node, ctes, frame).everything())
            elif isinstance(node, exp.Column):
                star = node.this if isinstance(node.this, exp.Star) else None
                if star:
                    left.append((star, frame))
                else:
                    found.append(self._column(node, frame))
            elif isinstance(node, exp.Star):
                left.extend((item.this, frame) for item in node.args.get("replace") or [])
                if not _is_count(node):
                    found.append(frame.everything())
            elif isinstance(node, exp.Lambda):
                names = [lowered(item.name) for item in node.expressions]
                left.append((node.this, frame.with_names(names)))
            elif isinstance(node, exp.Comprehension):
                variables = (node.args[key] for key in _VARIABLES if node.args.get(key))
                within = frame.with_names(lowered(variable.name) for variable in variables)
                left.append((node.args.get("iterator"), frame))
                left += [(node.this, within), (node.args.get("condition"), within)]
            elif isinstance(node, exp.PropertyEQ | exp.Kwarg):
                left.append((node.expression, frame))
            else:
                if isinstance(node, _ACROSS):
                    found.append(ALL_ROWS)
                left.extend((child, frame) for child in node.iter_expressions())
        return union(found)

    def _column(self, column: exp.Column, frame: Frame) -> Origins:
        """What a column comes from; where a table may or may not have it, from all it may mean."""
        parts = [lowered(part.name) for part in column.parts]
        if parts[0] in _BARE:
            return NOTHING
        found: list[Origins] = []
        for scope in frame.chain():
            origins = scope.find(parts)
            if origins is not None:
                found.append(origins)
                if all(shape.columns is not None for shape in scope.tables.values()):
                    break
        if not found:
            self._miss(column, parts, frame)
        return union(found)

    def _miss(self, column: exp.Column, parts: list[str], frame: Frame) -> None:
        visible: Tables = {}
        names: set[str] = set()
        for scope in frame.chain():
            visible = {**scope.tables, **visible}
            names |= scope.names.keys()
        if len(parts) > 1 and parts[0] in visible:
            known = visible[parts[0]].columns or ()
            self._unknown(column.parts[1], f"`{parts[0]}` has no column `{parts[1]}`", known)
        elif len(parts) > 1:
            tables = [name for name in visible if not name.startswith("#")]
            self._unknown(column.parts[0], f"no table here is called `{parts[0]}`", tables)
        else:
            everything = {name for found in visible.values() for name in found.columns or ()}
            self._unknown(
                column.this, f"no table here has a column `{parts[0]}`", everything | names
            )

    def _starred(self, star: exp.Star, shape: Shape, put: dict[str, Origins]) -> Shape:
        """`* exclude (a) rename (b as c)`; `replace` keeps the names."""
        excluded = star.args.get("except_") or []
        replaced = [item.args["alias"] for item in star.args.get("replace") or []]
        renamed = {lowered(i.this.name): lowered(i.alias) for i in star.args.get("rename") or []}
        columns = shape.columns
        if columns is None or any(isinstance(i, exp.Column) and i.table for i in excluded):
            return anything(shape.everything())
        # One name for two columns, as after a join: which of them is meant is DuckDB's to say.
        if any(columns.count(lowered(item.name)) > 1 for item in replaced):
            return anything(shape.everything())
        for item in [*excluded, *replaced]:
            if not shape.may_have(lowered(item.name)):
                part = item if isinstance(item, exp.Identifier) else item.this
                self._unknown(part, f"`*` has no column `{lowered(item.name)}`", columns)
        left_out = {lowered(item.name) for item in excluded}
        pairs = zip(columns, shape.origins, strict=True)
        return NO_TABLE.of_pairs(
            (renamed.get(name, name), put.get(name, origins))
            for name, origins in pairs
            if name not in left_out
        )

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
