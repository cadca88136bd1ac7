"""A parsed condition in, a `Clause` out: negations are pushed down to the single tests."""

import re
from collections.abc import Iterator

from sqlglot import exp

from segflow.compile.definitions import Arm, Clause, Constant, Operand
from segflow.compile.outlines import lowered

_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {
    **{"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"},
    **{"is distinct from": "is not distinct from", "is not distinct from": "is distinct from"},
}
_COMPARED: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_OTHERS: dict[type[exp.Expr], str] = {
    exp.Like: "like",
    exp.ILike: "ilike",
    exp.Between: "between",
    exp.In: "in",
    exp.NullSafeEQ: "is not distinct from",
    exp.NullSafeNEQ: "is distinct from",
}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_PLACE = ":as_of"
# Larger numbers than this may be equal as floats where they differ.
_EXACT = 2.0**53
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")")
_IS_NOT = re.compile(r"\bnot ([\w.]+) is null")
_NOT_IN = re.compile(r"\bnot ([\w.]+) (in|like|ilike|between)\b")


class Writer:
    """Writes conditions over the rows of one definition, whose contacts are called `base`."""

    def __init__(self, base: str):
        self._base = base

    def clause(self, node: exp.Expr, is_negated: bool = False) -> Clause:
        """The condition, or its opposite."""
        node = node.unnest()
        if isinstance(node, exp.Not):
            return self.clause(node.this, not is_negated)
        whole = exp.not_(node.copy()) if is_negated else node
        if isinstance(node, exp.And | exp.Or):
            kind = "and" if isinstance(node, exp.And) is not is_negated else "or"
            parts = tuple(self.clause(part, is_negated) for part in node.flatten())
            return Clause(kind, self.text(whole), spelt(whole), parts)
        operator, compared = self._test(node, is_negated)
        query = node.find(exp.Select) if isinstance(node, exp.Exists | exp.In) else None
        return Clause(
            "test",
            self._said(whole, operator),
            spelt(whole),
            operator=operator,
            operands=tuple(self._operand(each) for each in compared),
            reads=tuple(self._asked(node) if query else self.reads(node)),
            arms=tuple(self.arms(compared[0])) if compared else (),
            picked=_picked(query) if query else "",
            tables=tuple(lowered(f"{t.db}.{t.name}") for t in query.find_all(exp.Table))
            if query
            else (),
        )

    def arms(self, node: exp.Expr) -> Iterator[Arm]:
        """The branches of a CASE, in their order; nothing for anything else."""
        if not isinstance(node, exp.Case):
            return
        before = []
        for branch in node.args["ifs"]:
            asked = exp.EQ(this=node.this, expression=branch.this) if node.this else branch.this
            yield Arm(self.text(branch.args["true"]), self.clause(asked))
            before.append(f"({spelt(asked)}) is not true")
        if node.args.get("default"):
            none = Clause("else", "none of those before it", " and ".join(before))
            yield Arm(self.text(node.args["default"]), none)

    def text(self, node: exp.Expr) -> str:
        """SQL as people write it: small letters, contacts' columns without their table."""
        return readable(spelt(node), self._base)

    def _said(self, node: exp.Expr, operator: str) -> str:
        """The text of a test; `in trials_ending` where it asks for no more than that."""
        query = node.find(exp.Select)
        if query is None or "exists" not in operator:
            return self.text(node)
        start, where = query.args.get("from_"), query.args.get("where")
        table = start.this if start and not query.args.get("joins") else None
        tie = where.this if where else None
        if not isinstance(table, exp.Table) or not isinstance(tie, exp.EQ):
            return self.text(node)
        said = f"{'not ' if operator.startswith('not') else ''}in {table.name}"
        return said if tie.left.name == tie.right.name else self.text(node)

    def _test(self, node: exp.Expr, is_negated: bool) -> tuple[str, list[exp.Expr]]:
        """The operator, and what it compares."""
        if isinstance(node, exp.Binary) and type(node) in _COMPARED:
            sides: list[exp.Expr] = [node.left.unnest(), node.right.unnest()]
            operator = _COMPARED[type(node)]
            # `any (…)` and `all (…)` have no value of their own.
            if isinstance(sides[1], exp.Any | exp.All):
                return "is false" if is_negated else "is true", [node]
            if not sides[0].find(exp.Column) and sides[1].find(exp.Column):
                operator, sides = _FLIPPED[operator], sides[::-1]
            return (_NEGATED[operator] if is_negated else operator), sides
        if isinstance(node, exp.Is):
            what = "null" if isinstance(node.expression, exp.Null) else readable(spelt(node.right))
            return f"is not {what}" if is_negated else f"is {what}", [node.this.unnest()]
        if isinstance(node, exp.Exists):
            return "not exists" if is_negated else "exists", []
        if type(node) in _OTHERS and not (isinstance(node, exp.In) and node.args.get("unnest")):
            operator = _OTHERS[type(node)]
            others = [node.args.get(key) for key in ("low", "high", "expression")]
            others += node.args.get("expressions") or []
            negated = is_negated is not bool(node.args.get("negate"))
            found = [node.this.unnest(), *(o.unnest() for o in others if o is not None)]
            return _NEGATED.get(operator, f"not {operator}") if negated else operator, found
        return "is false" if is_negated else "is true", [node]

    def _operand(self, node: exp.Expr) -> Operand:
        is_own = isinstance(node, exp.Column) and node.table == self._base
        sql = f"({spelt(node)})" if isinstance(node, exp.Query) else spelt(node)
        column = node.name if is_own else None
        return Operand(self.text(node), sql, column, constant_of(node))

    def _asked(self, node: exp.Expr) -> Iterator[Operand]:
        """Columns of contacts that a query inside a condition goes by, but for the id."""
        for column in dict.fromkeys(node.find_all(exp.Column)):
            if column.table == self._base and column.name != "contact_id":
                yield self._operand(column)

    def reads(self, node: exp.Expr) -> Iterator[Operand]:
        """Columns that the condition itself asks, without those inside its queries."""
        seen = set()
        for found in node.walk(prune=lambda n: isinstance(n, exp.Query)):
            if isinstance(found, exp.Column) and found not in seen:
                seen.add(found)
                yield self._operand(found)


def _picked(query: exp.Select) -> str:
    """`schema.table.column` of what a plain query selects."""
    item, start = query.expressions[0].unalias(), query.args.get("from_")
    table = start.this if start else None
    if len(query.expressions) > 1 or not isinstance(table, exp.Table):
        return ""
    is_plain = isinstance(item, exp.Column) and not query.args.get("joins")
    return f"{table.db}.{table.name}.{item.name}" if is_plain else ""


def constant_of(node: exp.Expr) -> Constant | None:
    """The kind and value of what SQL states outright."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        found = constant_of(node.this)
        return ("number", -float(found[1])) if found and found[0] == "number" else None
    if isinstance(node, exp.Literal):
        if node.is_string:
            return ("text", node.name)
        return ("number", number) if abs(number := float(node.name)) < _EXACT else None
    if isinstance(node, exp.Boolean):
        return ("boolean", float(bool(node.this)))
    if isinstance(node, exp.Cast) and node.this.is_string and node.this.name == _PLACE:
        return ("moment", 0.0)
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.right, exp.Interval):
        since, length = constant_of(node.left), _seconds(node.right)
        if since and since[0] == "moment" and length is not None:
            return ("moment", float(since[1]) + (length if isinstance(node, exp.Add) else -length))
    return None


def _seconds(interval: exp.Interval) -> float | None:
    """How long an interval is, None where that depends on the calendar."""
    unit = interval.text("unit").lower().removesuffix("s")
    number = interval.this.name if interval.this else ""
    if unit not in _SECONDS or not re.fullmatch(r"-?\d+", number):
        return None
    return int(number) * float(_SECONDS[unit])


def spelt(node: exp.Expr) -> str:
    """SQL for the engine, the clock's placeholder as compiled SQL has it."""
    sql: str = node.sql("duckdb", comments=False)
    return sql.replace(f"CAST('{_PLACE}' AS TIMESTAMP)", f"timestamp '{_PLACE}'")


def readable(sql: str, base: str = "") -> str:
    """The same as a person writes it; what stands in quotes stays."""
    sql = sql.replace(f"timestamp '{_PLACE}'", "as_of")
    sql = re.sub(r"INTERVAL '(-?\d+)' (\w+)", lambda m: f"interval '{m[1]} {m[2].lower()}'", sql)
    pieces = _QUOTED.split(sql)
    own = re.compile(rf"\b{re.escape(base)}\.") if base else None
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            plain = piece.lower().replace("<>", "!=")
            pieces[index] = own.sub("", plain) if own else plain
    said = _IS_NOT.sub(r"\1 is not null", "".join(pieces))
    return _NOT_IN.sub(r"\1 not \2", said)
