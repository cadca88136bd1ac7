"""A payload's Jinja template in, a SQL expression out: null where a value that it needs is missing.

A template is text with columns of the evidence and of contacts in it: `{{ first_name }}`. Values
become text, and a blank one counts as missing. `default('…')` says what stands in its place;
`round(…)`, `upper` and `lower` are the other filters.
"""

from collections.abc import Callable, Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes

from segflow.compile.relations import literal
from segflow.errors import ProjectError

_FILTERS = ("default", "round", "upper", "lower")
_JINJA = Environment()

# What stands for a column in SQL.
ValueOf = Callable[[str], str]


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
        # What is no number has no value then, and the message is held.
        number = f"try_cast(cast({value} as varchar) as decimal(38, 10))"
        return f"round({number}, {given[0] if given else 0})"
    if part.name in ("upper", "lower") and not part.args:
        return f"{part.name}(cast({value} as varchar))"
    raise _too_much(f"these arguments of `{part.name}`")


def _text(value: str) -> str:
    return f"nullif(trim(cast({value} as varchar)), '')"


def _too_much(what: str) -> ProjectError:
    return ProjectError(
        f"a payload is text with columns in it, and has no place for {what}",
        hint="put what is computed into a column of the segment",
    )
