"""A payload's Jinja template in, a SQL expression out: null where a value that it needs is missing.

A template is text with columns of the evidence and of contacts in it: `{{ first_name }}`. Values
become text, and a blank one counts as missing. `default('…')` says what stands in its place;
`round(…)`, `upper` and `lower` are the other filters.
"""

from collections.abc import Callable, Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes

from segflow.compile.compiler import Compilation
from segflow.compile.graph import CONTACTS, Graph, reference
from segflow.compile.outlines import lowered
from segflow.compile.relations import literal
from segflow.errors import ProjectError, did_you_mean
from segflow.project.load import place

_FILTERS = ("default", "round", "upper", "lower")
_JINJA = Environment()

# What a payload may name beside columns.
VARIANT = "variant"

# What stands for a column in SQL.
ValueOf = Callable[[str], str]


def check_columns(graph: Graph, compilation: Compilation) -> None:
    """Look for the columns that messages name, as far as it is known what there is.

    Raises:
        ProjectError: a payload or `best_by` names a column that there is not, or a payload is more
            than text with columns in it.
    """
    for goal in graph.project.goals:
        called = reference(goal.success.model) if goal.success else None
        node = graph.target(called) if called else None
        seeds = {seed.id: tuple(map(lowered, seed.header)) for seed in graph.project.seeds}
        outline = (seeds | compilation.columns()).get(str(node))
        for column in ("contact_id", "happened_at"):
            if outline and column not in outline:
                raise ProjectError(
                    f"`{graph.nodes[str(node)].name}` has no column `{column}`, which an event has",
                    place(goal, ".success.model"),
                    did_you_mean(column, outline),
                )
    for message in graph.project.messages:
        tables = [str(graph.find(CONTACTS)), *(graph.segments[n].id for n in message.segments)]
        outlines = [compilation.models[t].outline.columns for t in tables if t in graph.models]
        known = {name.lower() for columns in outlines for name in columns or ()}
        is_known = len(outlines) == len(tables) and all(outlines)
        asked = [(f".payload.{key}", text) for key, text in message.payload.items()]
        if message.limit and message.limit.best_by:
            asked.append((".limit.best_by", f"{{{{ {message.limit.best_by} }}}}"))
        for below, text in asked:
            where = place(message, below)
            try:
                columns = columns_of(text)
            except ProjectError as error:
                error.location = where
                raise
            for column in columns:
                if column == VARIANT and message.variants:
                    continue
                if is_known and column.lower() not in known:
                    raise ProjectError(
                        f"neither its segments nor `{CONTACTS}` have a column `{column}`",
                        where,
                        did_you_mean(column, known),
                    )


def columns_of(template: str) -> list[str]:
    """The columns that a template names, in order.

    Raises:
        ProjectError: it is broken, or more than text with columns in it. Its place is not known.
    """
    names: list[str] = []

    def value_of(column: str) -> str:
        names.append(column)
        return column

    to_sql(template, value_of)
    return list(dict.fromkeys(names))


def to_sql(template: str, value_of: ValueOf) -> str:
    """The text of a template as a SQL expression; raises ProjectError as `columns_of` does."""
    try:
        parts = [*_parts(_JINJA.parse(template))]
    except TemplateSyntaxError as error:
        raise ProjectError(f"the template `{template}` is broken: {error.message}") from None
    return " || ".join(_part(part, value_of) for part in parts) or "''"


def _parts(tree: nodes.Template) -> Iterator[nodes.Expr]:
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            raise _too_much("a statement")
        yield from statement.nodes


def _part(part: nodes.Expr, value_of: ValueOf) -> str:
    if isinstance(part, nodes.TemplateData):
        return literal(part.data)
    if isinstance(part, nodes.Const):
        return literal(str(part.value))
    if isinstance(part, nodes.Filter) and part.name == "default":
        return _value(part, value_of)
    return _text(_value(part, value_of))


def _value(part: nodes.Expr, value_of: ValueOf) -> str:
    if isinstance(part, nodes.Name):
        return value_of(part.name)
    if not isinstance(part, nodes.Filter) or part.node is None or part.kwargs:
        raise _too_much("an expression")
    if part.name not in _FILTERS:
        raise ProjectError(
            f"a payload does not know the filter `{part.name}`",
            hint=f"there are: {', '.join(_FILTERS)}",
        )
    given = [arg.value for arg in part.args if isinstance(arg, nodes.Const)]
    value = _value(part.node, value_of)
    if part.name == "default" and len(given) == 1:
        return f"coalesce({_text(value)}, {literal(str(given[0]))})"
    if part.name == "round" and len(given) < 2 and all(isinstance(n, int) for n in given):
        return f"round({value}, {given[0] if given else 0})"
    if part.name in ("upper", "lower") and not part.args:
        return f"{part.name}({value})"
    raise _too_much(f"these arguments of `{part.name}`")


def _text(value: str) -> str:
    return f"nullif(trim(cast({value} as varchar)), '')"


def _too_much(what: str) -> ProjectError:
    return ProjectError(
        f"a payload is text with columns in it, and has no place for {what}",
        hint="put what is computed into a column of the segment",
    )
