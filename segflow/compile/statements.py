"""Compiled SQL in, an `Outline` out: its columns, and what is wrong with it, found without a database.

Only what is certain is reported: where a table's columns are not known, nothing is said of them.
"""

from collections.abc import Iterable, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from segflow.compile.outlines import Columns, Outline, Problem
from segflow.errors import did_you_mean

_CLOCKS = (
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)
_CLOCK_NAMES = {"now", "today", "get_current_timestamp", "transaction_timestamp"}
_RANDOM = (exp.Rand, exp.Uuid)
_RANDOM_NAMES = {"random", "gen_random_uuid", "uuid", "uuidv4", "uuidv7", "setseed", "nextval"}
_UNSTABLE = (exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.First, exp.Last, exp.Mode)


def outline(sql: str, known: Mapping[str, Columns | None]) -> Outline:
    """Parse one SELECT and resolve its columns.

    Args:
        known: columns of the tables it may read, keyed by `schema.name` in lower case.
    """
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError as error:
        detail = getattr(error, "errors", None) or [{}]
        what = str(detail[0].get("description") or error).splitlines()[0].rstrip(".")
        near = detail[0].get("highlight")
        return Outline(
            problems=(
                Problem(
                    f"SQL that does not parse: {what}" + (f", at `{near}`" if near else ""),
                    detail[0].get("line"),
                ),
            )
        )
    found = [s for s in statements if s is not None and not isinstance(s, exp.Semicolon)]
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        what = "one SELECT, and this file has none" if not found else "one SELECT and nothing else"
        return Outline(problems=(Problem(f"a model is {what}", 1),))
    query = found[0]
    resolver = _Resolver(known)
    columns = resolver.resolve(query)
    return Outline(columns, tuple(resolver.problems), _clocks(query), _unstable(query))


def _clocks(query: exp.Expr) -> tuple[Problem, ...]:
    problems = []
    for node in query.find_all(*_CLOCKS, *_RANDOM, exp.Anonymous):
        name = node.name.lower() if isinstance(node, exp.Anonymous) else _spelt(node)
        if isinstance(node, _CLOCKS) or name in _CLOCK_NAMES:
            message = f"`{name}` reads the clock, so no rerun would give the same rows"
            problems.append(Problem(message, hint="use {{ as_of() }}", word=name))
        elif isinstance(node, _RANDOM) or name in _RANDOM_NAMES:
            message = f"`{name}` gives other rows at every run"
            hint = "use hash(contact_id || 'salt') for a stable choice"
            problems.append(Problem(message, hint=hint, word=name))
    return tuple(problems)


def _spelt(node: exp.Expr) -> str:
    """A function's name as people write it in DuckDB."""
    if isinstance(node, exp.Rand):
        return "random"
    return node.sql("duckdb").lower().partition("(")[0]


def _unstable(query: exp.Expr) -> tuple[Problem, ...]:
    problems = [
        Problem(
            f"`{_spelt(node)}` picks one of several rows in no fixed order",
            hint="order by a unique column last",
            word=_spelt(node),
        )
        for node in query.find_all(*_UNSTABLE)
        if not node.find(exp.Order)
    ]
    for window in query.find_all(exp.Window):
        if isinstance(window.this, exp.RowNumber) and not window.args.get("order"):
            problems.append(Problem("`row_number()` without an order", word="row_number"))
    return tuple(problems)


class _Resolver:
    """Works out the columns of every scope of a query, the innermost first."""

    def __init__(self, known: Mapping[str, Columns | None]):
        self._known = known
        self._outputs: dict[int, Columns | None] = {}
        self.problems: list[Problem] = []

    def resolve(self, query: exp.Query) -> Columns | None:
        columns = None
        for scope in traverse_scope(query):
            columns = self._renamed(scope, self._columns_of(scope))
            self._outputs[id(scope)] = columns
        return columns

    def _renamed(self, scope: Scope, columns: Columns | None) -> Columns | None:
        """`with cte (a, b) as …` names the columns anew."""
        parent = scope.expression.parent
        names = parent.alias_column_names if isinstance(parent, exp.CTE | exp.Subquery) else []
        return _named(names, columns)

    def _columns_of(self, scope: Scope) -> Columns | None:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            sides = [self._outputs.get(id(side)) for side in scope.set_operation_scopes]
            if not query.args.get("by_name"):
                return sides[0] if sides else None
            flat = [name for side in sides for name in side or ()]
            return None if None in sides else tuple(dict.fromkeys(flat))
        if not isinstance(query, exp.Select):
            return None
        sources = self._sources(scope)
        self._check(scope, sources)
        return self._projection(query, sources)

    def _sources(self, scope: Scope) -> dict[str, Columns | None]:
        """Columns of each table in FROM and JOIN, by the name it goes by here."""
        found: dict[str, Columns | None] = {}
        for name, (node, source) in scope.selected_sources.items():
            if isinstance(source, Scope):
                columns = self._outputs.get(id(source))
            else:
                columns = self._known.get(f"{source.db}.{source.name}".lower())
            if node.args.get("pivots"):
                columns = None
            found[name.lower()] = _named(node.alias_column_names, columns)
        for join in scope.expression.args.get("joins") or []:
            if join.kind in ("SEMI", "ANTI"):
                continue
            if not isinstance(join.this, exp.Table | exp.Subquery):
                found[join.alias_or_name.lower()] = None
        if scope.expression.args.get("laterals"):
            found["lateral "] = None
        return found

    def _projection(self, query: exp.Select, sources: dict[str, Columns | None]) -> Columns | None:
        columns: list[str] = []
        for item in query.expressions:
            if isinstance(item, exp.Star):
                expanded = _expand(query, sources)
                star = item
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
                expanded = sources.get(item.table.lower())
                star = item.this
            elif isinstance(item, exp.Alias | exp.Column):
                columns.append(item.alias_or_name.lower())
                continue
            else:
                return None
            if expanded is None:
                return None
            columns.extend(_starred(star, expanded))
        return tuple(columns)

    def _check(self, scope: Scope, sources: dict[str, Columns | None]) -> None:
        """Note every column that no table in sight has."""
        query = scope.expression
        visible = dict(sources)
        outer = scope.parent if scope.is_subquery or scope.is_udtf else None
        while outer:
            visible = {**self._sources(outer), **visible}
            outer = outer.parent if outer.is_subquery or outer.is_udtf else None
        aliases = {item.alias.lower() for item in query.expressions if item.alias}
        everything = {name for columns in visible.values() for name in columns or ()}
        certain = None not in visible.values() and bool(visible)
        for column in scope.columns:
            name, table = column.name.lower(), column.table.lower()
            if column.parent_select is not query or name in ("", "rowid"):
                continue
            if table:
                columns = visible.get(table, ())
                if table in visible and columns is not None and name not in columns:
                    self._unknown(column, f"`{table}` has no column `{name}`", columns)
            elif certain and name not in everything | aliases | set(visible):
                self._unknown(column, f"no table here has a column `{name}`", everything)

    def _unknown(self, column: exp.Column, message: str, names: Iterable[str]) -> None:
        line = column.this.meta.get("line")
        hint = did_you_mean(column.name.lower(), sorted(set(names)))
        self.problems.append(Problem(message, line, hint, column.name))


def _named(names: list[str], columns: Columns | None) -> Columns | None:
    """`columns`, the first of them under other names."""
    if not names:
        return columns
    return (*(name.lower() for name in names), *(columns or ())[len(names) :])


def _expand(query: exp.Select, sources: dict[str, Columns | None]) -> Columns | None:
    """The columns that `*` stands for; those of USING come once."""
    columns: list[str] = []
    for name, using, kept in _tables(query):
        found = sources.get(name)
        if found is None:
            return None
        if kept:
            columns.extend(c for c in found if c not in using)
    return tuple(columns)


def _tables(query: exp.Select) -> Iterator[tuple[str, set[str], bool]]:
    """Each table of FROM and JOIN: its name, the columns that USING merges, and whether `*` has it."""
    start = query.args.get("from_")
    if start:
        yield start.this.alias_or_name.lower(), set(), True
    for join in query.args.get("joins") or []:
        using = {identifier.name.lower() for identifier in join.args.get("using") or []}
        yield join.alias_or_name.lower(), using, join.kind not in ("SEMI", "ANTI")
    for _ in query.args.get("laterals") or []:
        yield "lateral ", set(), True


def _starred(star: exp.Expr, columns: Columns) -> Iterator[str]:
    """`* exclude (a) rename (b as c)`; `replace` keeps the names."""
    left_out = {item.name.lower() for item in star.args.get("except_") or []}
    renamed = {item.this.name.lower(): item.alias.lower() for item in star.args.get("rename") or []}
    for name in columns:
        if name not in left_out:
            yield renamed.get(name, name)
