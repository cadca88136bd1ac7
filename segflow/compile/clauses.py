"""A segment's SELECT in, its `Definition` out: through CTEs, and through models above contacts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from segflow.compile.conditions import Writer, spelt
from segflow.compile.definitions import Clause, Definition, Known, Sqls
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.outlines import lowered

_KEY = "contact_id"
_EVERYBODY = "segflow_contacts"
_HAS_ROW = "segflow_row"


class NotPlainError(Exception):
    """A SELECT whose rows cannot be judged one condition at a time; the message says why."""


@dataclass
class Rows:
    """A SELECT taken apart: its first table, the tables joined to that, its conditions.

    `columns` says what each column of it is; None where they are those of `base`.
    """

    base: exp.Expr
    joins: list[exp.Join] = field(default_factory=list)
    conditions: list[exp.Expr] = field(default_factory=list)
    columns: dict[str, exp.Expr] | None = None

    @property
    def aliases(self) -> set[str]:
        return {self.base.alias_or_name, *(join.alias_or_name for join in self.joins)}


def taken_apart(folder: "Folder", node: str) -> Definition:
    """The definition of a segment; one clause that is all of it where it cannot be taken apart."""
    sql = folder.sqls[node]
    try:
        return _definition(folder, sql)
    except NotPlainError as error:
        key = f"{_EVERYBODY}.{_KEY}"
        condition = f"{key} in (select {_KEY} from (\n{sql}\n))"
        text = f"in {node.rpartition('.')[2]}"
        whole = Clause("whole", text, condition, why=str(error))
        return Definition(f"{folder.contacts} as {_EVERYBODY}", key, (whole,))


def _definition(folder: "Folder", sql: str) -> Definition:
    rows = folder.rows(folder.parsed(sql), is_top=True)
    joins, conditions = rows.joins, rows.conditions
    base, key = rows.base, (rows.columns or {}).get(_KEY)
    if table_name(base) != folder.contacts:
        if not isinstance(key, exp.Column) or key.table != base.alias_or_name:
            raise NotPlainError(f"its {_KEY} is not a column of {base.alias_or_name}")
        joins = [_loose(base, exp.EQ(this=_column(_EVERYBODY, _KEY), expression=key)), *joins]
        conditions = [_row_in(base.alias_or_name), *conditions]
        base = exp.to_table(folder.contacts).as_(_EVERYBODY)
    elif key is not None and not _is_key(key, rows):
        raise NotPlainError(f"its {_KEY} is not that of contacts")
    writer = Writer(base.alias_or_name)
    source = " ".join([spelt(base), *(spelt(join) for join in joins)])
    written = [_written(writer, condition, joins) for condition in conditions]
    return Definition(source, f"{base.alias_or_name}.{_KEY}", tuple(written))


def _written(writer: Writer, condition: exp.Expr, joins: list[exp.Join]) -> Clause:
    if not isinstance(condition, exp.Coalesce) or condition.this.name != _HAS_ROW:
        return writer.clause(condition)
    name = condition.this.table
    join = next(join for join in joins if join.alias_or_name == name)
    tables = tuple(table_name(table) for table in join.find_all(exp.Table))
    reads = tuple(writer.reads(join.args["on"]))
    return Clause("row", f"a row in {name}", spelt(condition), reads=reads, tables=tables)


class Folder:
    """Takes SELECTs apart and puts together what lies below them, down to contacts."""

    def __init__(self, graph: Graph, sqls: Sqls, columns: Known):
        self.sqls = sqls
        contacts = str(graph.find(CONTACTS))
        self.contacts = lowered(str(graph.relations[contacts]))
        self._above = graph.descendants(contacts)
        self.models = {
            lowered(str(model.relation)): model.id
            for model in graph.models.values()
            if model.config.materialized != "incremental"
        }
        self._columns = {
            lowered(str(relation)): (relation, names)
            for node, relation in graph.relations.items()
            if (names := columns.get(node))
        }

    def parsed(self, sql: str) -> exp.Expr:
        """A query with the table of every column written out, and no CTE left."""
        try:
            bare = _without_ctes(sqlglot.parse_one(sql, dialect="duckdb"))
            schema: dict[str, Any] = {}
            for name in {table_name(table) for table in bare.find_all(exp.Table)}:
                if name in self._columns:
                    relation, columns = self._columns[name]
                    tables = schema.setdefault(relation.schema, {})
                    tables[relation.identifier] = dict.fromkeys(columns, "unknown")
            return qualify(
                bare,
                schema=schema,
                dialect="duckdb",
                identify=False,
                quote_identifiers=False,
                validate_qualify_columns=False,
            )
        except SqlglotError:
            raise NotPlainError("its SQL is more than can be taken apart") from None

    def rows(self, query: exp.Expr, is_top: bool = False) -> Rows:
        """A SELECT as rows of its first table, with whatever that one is made of."""
        select = query.unnest()
        if not isinstance(select, exp.Select):
            raise NotPlainError("it is a set operation")
        _check_plain(select, is_top)
        start = select.args["from_"].this
        below = self._below(start)
        if below.columns is not None and not _substitute(select, start.alias_or_name, below):
            below = Rows(start)
        joins, conditions = list(below.joins), list(below.conditions)
        for join in select.args.get("joins") or []:
            _join(join, joins, conditions)
        where = select.args.get("where")
        conditions += _conjuncts(where.this) if where else []
        columns = {item.alias_or_name: item.unalias() for item in select.expressions}
        if any(isinstance(item, exp.Star) for item in select.expressions):
            raise NotPlainError("its columns are not all known")
        return Rows(below.base, joins, conditions, columns)

    def _below(self, start: exp.Expr) -> Rows:
        """What the first table is made of; the table itself where that is as far as it goes."""
        try:
            if isinstance(start, exp.Subquery):
                return self.rows(start.this)
            node = self.models.get(table_name(start))
            if node in self._above:
                return self.rows(self.parsed(self.sqls[node]))
        except NotPlainError:
            pass
        return Rows(start)


# ── CTEs ──────────────────────────────────────────────────────────────────────────────────────


def _without_ctes(tree: exp.Expr) -> exp.Expr:
    """The same query with every CTE written out where it is read."""
    for holder in [*tree.find_all(exp.Query)][::-1]:
        clause = holder.args.get("with_")
        if clause is None:
            continue
        if clause.args.get("recursive"):
            raise NotPlainError("it has a recursive CTE")
        holder.set("with_", None)
        ctes = list(clause.expressions)
        for index, cte in enumerate(ctes):
            for reader in [*(later.this for later in ctes[index + 1 :]), holder]:
                _write_out(reader, cte)
    return tree


def _write_out(reader: exp.Expr, cte: exp.CTE) -> None:
    for table in [*reader.find_all(exp.Table)]:
        if table.db or lowered(table.name) != lowered(cte.alias):
            continue
        renames = cte.alias_column_names or table.alias_column_names
        if renames or set(_parts(table)) - {"this", "alias"}:
            raise NotPlainError("a CTE is read in a way that cannot be followed")
        copied = _imported(cte.this) or exp.Subquery(this=cte.this.copy())
        copied.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
        table.replace(copied)


def _imported(body: exp.Expr) -> exp.Table | None:
    """The table that a CTE hands on as it is."""
    if not isinstance(body, exp.Select) or set(_parts(body)) - {"expressions", "from_"}:
        return None
    table = body.args["from_"].this
    is_whole = len(body.expressions) == 1 and isinstance(body.expressions[0], exp.Star)
    is_table = isinstance(table.this, exp.Identifier) and bool(table_name(table))
    return table.copy() if is_whole and is_table else None


# ── what a SELECT is made of ──────────────────────────────────────────────────────────────────


def _parts(node: exp.Expr) -> Iterator[str]:
    return (key for key, value in node.args.items() if value)


def _check_plain(select: exp.Select, is_top: bool) -> None:
    """Refuse what makes rows depend on each other, but for what cannot change who is in."""
    parts = set(_parts(select)) - {"expressions", "from_", "joins", "where"}
    if "distinct" in parts and not select.args["distinct"].args.get("on"):
        parts -= {"distinct"}
    items = [
        found
        for item in select.expressions
        for found in item.walk(prune=lambda n: isinstance(n, exp.Query))
    ]
    if is_top:
        parts -= {"order"} | ({"group"} if "having" not in parts else set())
        parts -= {"qualify"} if _picks_one_of_hers(select) else set()
    if any(isinstance(item, exp.Explode | exp.Unnest) for item in items):
        raise NotPlainError("a list decides how many rows it has")
    if not is_top and any(isinstance(item, exp.Window | exp.AggFunc) for item in items):
        raise NotPlainError("its columns are computed over several rows")
    if "from_" not in select.args or not select.args["from_"]:
        raise NotPlainError("it reads no table")
    if "qualify" in parts:
        raise NotPlainError("a window function picks its rows")
    if parts & {"group", "having"}:
        raise NotPlainError("it asks about groups of rows")
    if parts:
        raise NotPlainError(f"it has {', '.join(sorted(p.strip('_') for p in parts))}")


def _picks_one_of_hers(select: exp.Select) -> bool:
    """Whether QUALIFY keeps the first row of every contact, so that it leaves nobody out."""
    clause = select.args.get("qualify")
    test = clause.this if clause else None
    if not isinstance(test, exp.EQ) or not isinstance(test.left, exp.Window):
        return False
    keys = [item.unalias() for item in select.expressions if item.alias_or_name == _KEY]
    is_first = isinstance(test.left.this, exp.RowNumber) and test.right == exp.Literal.number(1)
    return is_first and test.left.args.get("partition_by") == keys


def _conjuncts(node: exp.Expr) -> list[exp.Expr]:
    node = node.unnest()
    if not isinstance(node, exp.And):
        return [node]
    return [found for part in node.flatten() for found in _conjuncts(part)]


def _join(join: exp.Join, joins: list[exp.Join], conditions: list[exp.Expr]) -> None:
    """Add a join; whoever has no row stays, and an inner join's row becomes a condition."""
    if not isinstance(join.this, exp.Table | exp.Subquery) or join.method:
        raise NotPlainError("a join goes through something else than a table")
    if join.alias_or_name in {other.alias_or_name for other in joins}:
        raise NotPlainError(f"two of its tables are called {join.alias_or_name}")
    on = join.args.get("on") or exp.true()
    if join.kind in ("SEMI", "ANTI"):
        found = exp.Exists(this=exp.select("1").from_(join.this.copy()).where(on.copy()))
        conditions.append(exp.Not(this=found) if join.kind == "ANTI" else found)
    elif join.side == "LEFT":
        joins.append(join)
    elif join.side:
        raise NotPlainError(f"it has a {join.side.lower()} join")
    else:
        joins.append(_loose(join.this, on))
        conditions.append(_row_in(join.alias_or_name))


def _loose(table: exp.Expr, on: exp.Expr) -> exp.Join:
    """A left join that marks the rows it finds."""
    alias, bare = table.alias_or_name, table.copy()
    marked = exp.select("*", exp.true().as_(_HAS_ROW)).from_(bare)
    return exp.Join(this=marked.subquery(alias), on=on.copy(), side="LEFT")


def _row_in(alias: str) -> exp.Expr:
    return exp.Coalesce(this=_column(alias, _HAS_ROW), expressions=[exp.false()])


def _substitute(select: exp.Select, alias: str, below: Rows) -> bool:
    """Say in terms of what lies below all that a SELECT says of its first table, if that can be."""
    columns = below.columns or {}
    joins = select.args.get("joins") or []
    holders = [*select.expressions, *joins, select.args.get("where")]
    said = [column for holder in holders if holder for column in _free(holder, alias)]
    inside = {around for column in said for around in _around(column, select)}
    names = {join.alias_or_name for join in joins}.union(*map(_declared, inside))
    if below.aliases & names or not all(column.name in columns for column in said):
        return False
    for column in said:
        meant = columns[column.name].copy()
        is_simple = isinstance(meant, exp.Column | exp.Paren | exp.Func)
        column.replace(meant if is_simple else exp.paren(meant))
    return True


def _around(node: exp.Expr, select: exp.Select) -> Iterator[exp.Select]:
    """The queries between a column and the SELECT it belongs to."""
    around = node.find_ancestor(exp.Select)
    while around is not None and around is not select:
        yield around
        around = around.find_ancestor(exp.Select)


def _free(node: exp.Expr, alias: str) -> list[exp.Column]:
    """Columns of the table `alias`, not of another one of that name in a query further in."""

    def is_other(found: exp.Expr) -> bool:
        is_table = isinstance(found, exp.Table | exp.Subquery)
        return (is_table and isinstance(found.parent, exp.From | exp.Join)) or (
            isinstance(found, exp.Select) and alias in _declared(found)
        )

    found = node.walk(prune=is_other)
    return [c for c in found if isinstance(c, exp.Column) and c.table == alias]


def _declared(select: exp.Select) -> set[str]:
    tables = [select.args.get("from_"), *(select.args.get("joins") or [])]
    return {table.this.alias_or_name for table in tables if table}


# ── tables and columns ────────────────────────────────────────────────────────────────────────


def _column(table: str, name: str) -> exp.Column:
    return exp.column(name, table=table)


def table_name(table: exp.Expr) -> str:
    """`schema.name` in lower case of a table read as it is, else nothing."""
    if not isinstance(table, exp.Table) or set(_parts(table)) - {"this", "db", "alias"}:
        return ""
    return lowered(".".join(spelt(part) for part in table.parts))


def _is_key(key: exp.Expr, rows: Rows) -> bool:
    """Whether a column is the contact's id, by itself or because a condition says so."""
    own = _column(rows.base.alias_or_name, _KEY)
    if key == own:
        return True
    tied = [part for join in rows.joins for part in _conjuncts(join.args["on"])]
    return any(isinstance(part, exp.EQ) and {part.left, part.right} == {key, own} for part in tied)
