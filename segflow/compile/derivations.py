"""A column of contacts in; the CASE that made it, perhaps some models further down, out."""

import sqlglot
from sqlglot import exp

from segflow.compile.clauses import Folder, NotPlainError, table_name
from segflow.compile.conditions import Writer, spelt
from segflow.compile.definitions import Arm, Derivation, questions

_ANSWERS = "answers"


def derived(folder: Folder, node: str, column: str) -> Derivation:
    """The CASE behind a column of the model `node`, whose rows answer what its arms ask."""
    tracer = _Tracer(folder)
    try:
        query = tracer.model(node, column)
    except NotPlainError:
        return Derivation()
    return Derivation(tracer.arms, spelt(query), tracer.found_in) if tracer.arms else Derivation()


class _Tracer:
    """Follows a column downwards, and hands the answers to its CASE up the same way."""

    def __init__(self, folder: Folder):
        self._folder = folder
        self.arms: tuple[Arm, ...] = ()
        self.found_in = ""

    def model(self, node: str, column: str) -> exp.Expr:
        """A model's query, with `answers` among its columns where a CASE was found."""
        query = self._folder.parsed(self._folder.sqls[node])
        is_found = self._query(query, column)
        self.found_in = self.found_in or (node.rpartition(".")[2] if is_found else "")
        return query

    def _query(self, query: exp.Expr, column: str) -> bool:
        query = query.unnest()
        if isinstance(query, exp.Union) and not query.args.get("distinct"):
            sides = (query.left.unnest(), query.right.unnest())
            found = [self._query(side, column) for side in sides]
            for side, is_found in zip(sides, found, strict=True):
                if any(found) and not is_found:
                    _add(side, exp.null())
            return any(found)
        if not isinstance(query, exp.Select) or query.args.get("distinct"):
            return False
        items = {item.alias_or_name: item.unalias() for item in query.expressions}
        return column in items and self._item(query, items[column])

    def _item(self, query: exp.Select, item: exp.Expr) -> bool:
        """Look into what a column of a SELECT is."""
        start = query.args.get("from_")
        if start is None or query.args.get("group"):
            return False
        if isinstance(item, exp.Case) and not self.arms:
            self.arms = tuple(Writer(start.this.alias_or_name).arms(item))
            asked = ", ".join(questions(arm.condition for arm in self.arms))
            _add(query, sqlglot.parse_one(f"[{asked}]", dialect="duckdb"))
            return True
        if not isinstance(item, exp.Column):
            return False
        joined = [start.this, *(join.this for join in query.args.get("joins") or [])]
        table = next((t for t in joined if t.alias_or_name == item.table), None)
        is_found = table is not None and self._table(table, item.name)
        if is_found:
            _add(query, exp.column(_ANSWERS, table=item.table))
        return is_found

    def _table(self, table: exp.Expr, column: str) -> bool:
        if isinstance(table, exp.Subquery):
            return self._query(table.this, column)
        node = self._folder.models.get(table_name(table))
        if node is None:
            return False
        below = self.model(node, column)
        is_found = any(_ANSWERS in select.named_selects for select in below.find_all(exp.Select))
        if is_found:
            table.replace(exp.Subquery(this=below, alias=table.args["alias"]))
        return is_found


def _add(query: exp.Expr, answers: exp.Expr) -> None:
    """Add the answers to what a query selects; both sides of a union have them, null or not."""
    for select in [query] if isinstance(query, exp.Select) else query.find_all(exp.Select):
        if isinstance(query, exp.Select) or isinstance(select.parent, exp.Union):
            select.append("expressions", answers.copy().as_(_ANSWERS))
