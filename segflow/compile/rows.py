"""Items and clauses of one SELECT in; which rows it has, and what items take from all of them."""

from sqlglot import exp

from segflow.compile.shapes import NOTHING, Origins, Shape, union

# Parts that decide which rows there are.
_DECIDING = ("where", "group", "having", "qualify", "windows", "distinct", "limit", "offset")

# Stands for all rows of the SELECT around it, until these are known.
ALL_ROWS: Origins = frozenset({("", "")})


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
