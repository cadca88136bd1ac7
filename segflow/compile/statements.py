"""SQL text in, an `Outline` out: what a SELECT shows from outside, and what is wrong with it."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.simplify import simplify_parens

from segflow.compile.columns import resolve
from segflow.compile.names import digest
from segflow.compile.outlines import REPEATS, ROWS, Columns, Lineage, Outline, Problem
from segflow.compile.shapes import Shape, union

# What the parser thinks of a statement is said here, once and at its place.
logging.getLogger("sqlglot").disabled = True

# What the parser names otherwise than DuckDB does.
_NAMES: dict[type[exp.Expr], str] = {exp.Rand: "random", exp.TableSample: "sample"}
_CLOCKS = {
    *("ago", "current_date", "current_datetime", "current_localtime", "current_localtimestamp"),
    *("current_time", "current_timestamp", "get_current_time", "get_current_timestamp", "now"),
    *("localtime", "localtimestamp", "pg_conf_load_time", "pg_postmaster_start_time", "today"),
    "transaction_timestamp",
}
# Words that turn into a moment where they are cast to one.
_MOMENTS = {"now", "today", "tomorrow", "yesterday"}
_RANDOM = {
    *("current_connection_id", "current_query_id", "current_transaction_id", "currval"),
    *("gen_random_uuid", "nextval", "random", "sample", "setseed", "setval", "txid_current"),
    *("uuid", "uuidv4", "uuidv7"),
}
_UNSTABLE = {"any_value", "arg_max", "arg_min", "first", "last", "mode", "row_number"}


# Quotes and comments that have an end.
_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$", re.DOTALL
)


def outline(sql: str, known: Mapping[str, Columns | None]) -> Outline:
    """Parse one SELECT and resolve its columns.

    Args:
        known: columns of the tables it may read, keyed by `schema.name` in lower case.
    """
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError as error:
        return Outline(problems=(_unparsed(sql, error),), digest=digest(sql))
    found = [s for s in statements if s is not None and not isinstance(s, exp.Semicolon)]
    if not found:
        return Outline(problems=(Problem("a model is one SELECT, and this file has none", 0),))
    if len(found) > 1:
        problem = Problem(
            "a second statement: a model is one SELECT and nothing else",
            _behind_the_first(sql),
            "remove it, or make a model of its own of it",
        )
        return Outline(problems=(problem,))
    if not isinstance(found[0], exp.Query | exp.Pivot | exp.Values):
        return Outline(problems=(Problem("a model is one SELECT and nothing else", 0),))
    shape, problems = resolve(found[0], known)
    clocks, unstable = _calls(found[0], sql)
    places = found[0].find_all(exp.Where, exp.Having, exp.Qualify)
    asked = {column.name.lower() for place in places for column in place.find_all(exp.Column)}
    for bracket in [*found[0].find_all(exp.Paren)][::-1]:
        # `(a).b` is a field, `a.b` may be a column.
        if not isinstance(bracket.parent, exp.Dot):
            bracket.replace(simplify_parens(bracket, "duckdb"))
    return Outline(
        shape.columns,
        tuple(problems),
        tuple(clocks),
        tuple(unstable),
        frozenset(asked),
        b"" if shape.columns is None else msgspec.msgpack.encode(_lineage(shape)),
        digest(found[0].sql("duckdb", comments=False)),
    )


def _behind_the_first(sql: str) -> int:
    """Where the second statement begins."""
    tokens = iter(sqlglot.tokenize(sql, dialect="duckdb"))
    is_over = False
    for token in tokens:
        if is_over and token.token_type != sqlglot.TokenType.SEMICOLON:
            return int(token.start)
        is_over = is_over or token.token_type == sqlglot.TokenType.SEMICOLON
    return 0


def _lineage(shape: Shape) -> Lineage:
    found = dict(zip(shape.columns or (), shape.origins, strict=True))
    found |= {ROWS: shape.rows, REPEATS: shape.repeats}
    origins = tuple(sorted(union(found.values())))
    place = {origin: index for index, origin in enumerate(origins)}
    columns = {name: tuple(sorted(place[o] for o in made_of)) for name, made_of in found.items()}
    return Lineage(origins, columns)


def _unparsed(sql: str, error: SqlglotError) -> Problem:
    """What the parser says, at the place where it gave up."""
    details: list[dict[str, Any]] = getattr(error, "errors", None) or []
    if not details:
        blanked = _QUOTED.sub(lambda match: " " * len(match[0]), sql)
        begin = re.search(r"['\"]|/\*|\$\$", blanked)
        what = "SQL that does not parse: a quote or comment has no end"
        return Problem(what, begin.start() if begin else 0)
    found = details[0]
    near = str(found.get("highlight") or "")
    lines = sql.splitlines(keepends=True)[: int(found.get("line") or 1) - 1]
    offset = sum(map(len, lines)) + int(found.get("col") or 0) - len(near)
    what = str(found.get("description")).splitlines()[0].rstrip(".").lower()
    if "required keyword" in what or "<token" in what:
        what = "something is missing"
    hint = "if DuckDB takes it, write it another way: segflow reads SQL to check it"
    return Problem(f"SQL that does not parse: {what}, at `{near}`", max(offset, 0), hint)


def _calls(query: exp.Expr, sql: str) -> tuple[list[Problem], list[Problem]]:
    """The calls that make a result depend on when or how often it runs, and those with ties."""
    clocks, unstable = [], []
    for node in query.walk():
        kind = type(node)
        if kind is exp.Anonymous:
            name = node.name.lower()
            if name == "age" and len(node.expressions) == 1:
                clocks.append(_clock(name, node, sql))
        elif kind is exp.Cast and node.this.name.lower() in _MOMENTS and node.this.is_string:
            name = node.this.name.lower()
            clocks.append(_clock(name, node, sql))
        elif kind in _NAMES:
            name = _NAMES[kind]
        elif isinstance(node, exp.Func):
            name = str(node.sql_name()).lower()
        else:
            continue
        if name in _CLOCKS:
            clocks.append(_clock(name, node, sql))
        elif name in _RANDOM and not node.args.get("seed"):
            message = f"`{name}` gives other rows at every run"
            hint = "use hash(contact_id || 'salt') for a stable choice"
            clocks.append(Problem(message, _place(name, node, sql), hint))
        elif name in _UNSTABLE and not _is_ordered(node):
            message = f"`{name}` picks one of several rows in no fixed order"
            place = _place(name, node, sql)
            unstable.append(Problem(message, place, "order by a unique column last"))
    return clocks, unstable


def _clock(name: str, node: exp.Expr, sql: str) -> Problem:
    message = f"`{name}` reads the clock, so no rerun would give the same rows"
    return Problem(message, _place(name, node, sql), "use {{ as_of() }}")


def _is_ordered(node: exp.Expr) -> bool:
    if isinstance(node, exp.RowNumber):
        window = node.parent
        return not isinstance(window, exp.Window) or bool(
            window.args.get("order") or window.args.get("alias")
        )
    return node.find(exp.Order) is not None


def _place(name: str, node: exp.Expr, sql: str) -> int | None:
    """Where a call stands; where the parser did not keep that, the first one of its name."""
    start: int | None = node.meta.get("start")
    if start is not None:
        return start
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    return next((t.start for t in tokens if t.text.lower() == name), None)
