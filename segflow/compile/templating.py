"""Templates in, text out: Jinja in a sandbox, and every error at the line it comes from."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

from segflow.compile.library import MacroReturn, Marks, Names, find_line
from segflow.errors import Location, ProjectError, SegflowError, did_you_mean

_TEST = re.compile(r"(\{%-?\s*)test(\s+)(\w+)(\s*\()")
_END_TEST = re.compile(r"(\{%-?\s*)endtest(\s*-?%\})")
# A macro's own name inside its file. Under it nobody calls it, so that every call, also one from
# the same file, goes through `Names`: there a project's macro wins, and `return` ends just one.
_OWN = "macro__"
_TAGS = [
    *("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro", "endmacro"),
    *("call", "endcall", "filter", "endfilter", "do", "break", "continue", "raw", "endraw"),
]
# What an expression can do wrong that Jinja has no error of its own for.
_PYTHON = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError)


class Macro:
    """A macro that can be called from a template; what it returns may be any value."""

    def __init__(self, macro: Callable[..., Any]):
        self._macro = macro

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """The names of its arguments; None where it takes any."""
        macro: Any = self._macro
        return None if macro.catch_kwargs else tuple(macro.arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._macro(*args, **kwargs)
        except MacroReturn as returned:
            return returned.value


class Templates:
    """Templates, each compiled once; with `marks` every line of them is marked."""

    def __init__(self, marks: Marks | None = None):
        self._environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
            keep_trailing_newline=True,
        )
        self._marks = marks
        self._compiled: dict[tuple[Path, str], jinja2.Template] = {}
        self.globals: dict[str, Any] = {**self._environment.globals, "zip": zip, "set": set}
        del self.globals["lipsum"]

    def render(self, text: str, path: Path, names: Names) -> str:
        """The text of a template, which stands in `path`.

        Raises:
            ProjectError: at the line of the template, or of the macro, that went wrong.
        """
        template = self._template(text, path)
        context = template.new_context(names, shared=True)
        with located(names):
            return "".join(template.root_render_func(context))

    def call(self, name: str, names: Names, **arguments: Any) -> str:
        """What the macro `name` makes of `arguments`; raises ProjectError as `render` does."""
        with located(names):
            return str(names[name](**arguments))

    def macro(self, text: str, path: Path, name: str, names: Names) -> Macro:
        """A macro of the file `path`, seeing `names`."""
        template = self._template(text, path, of_macros=True)
        context = template.new_context(names, shared=True)
        for _ in template.root_render_func(context):
            pass
        found = context.vars.get(_OWN + name)
        if found is None:
            raise ProjectError(f"the macro `{name}` stands inside another block", Location(path))
        return Macro(found)

    def compile_macros(self, text: str, path: Path) -> None:
        """Compile a file of macros; raises ProjectError where it is broken."""
        self._template(text, path, of_macros=True)

    def _template(self, text: str, path: Path, of_macros: bool = False) -> jinja2.Template:
        key = (path, text)
        if key not in self._compiled:
            self._compiled[key] = self._compile(text, path, of_macros)
        return self._compiled[key]

    def _compile(self, text: str, path: Path, of_macros: bool) -> jinja2.Template:
        try:
            if of_macros:
                text = _TEST.sub(r"\1macro\2test_\3\4", text)
                text = _END_TEST.sub(r"\1endmacro\2", text)
            tree = self._environment.parse(text, str(path), str(path))
            for node in tree.body if of_macros else ():
                if isinstance(node, nodes.Macro):
                    node.name = _OWN + node.name
            if self._marks:
                _mark(tree, self._marks.of(path))
            code = self._environment.compile(tree, str(path), str(path))
        except jinja2.TemplateSyntaxError as error:
            where, said = Location(path, error.lineno), error.message or ""
            raise ProjectError(f"broken Jinja: {said}", where, _mend(said)) from None
        except SyntaxError as error:
            # Jinja leaves it to Python to see that a call names one argument twice.
            word = (error.msg or "").rpartition(" ")[2]
            line = find_line(text, rf"\b{re.escape(word)}\b", -1)
            raise ProjectError(f"broken Jinja: {error.msg}", Location(path, line or 1)) from None
        except (*_PYTHON, RecursionError) as error:
            # Jinja works out constant expressions while it compiles.
            raise ProjectError(f"broken Jinja: {error}", Location(path, 1)) from None
        return jinja2.Template.from_code(self._environment, code, {})


def _mark(tree: nodes.Template, mark: Callable[[int], str]) -> None:
    """Put a mark before every line and every expression of a template."""
    for output in tree.find_all(nodes.Output):
        marked: list[nodes.Expr] = []
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                lines = enumerate(node.data.split("\n"), node.lineno)
                node.data = "\n".join(mark(number) + line for number, line in lines)
            else:
                marked.append(nodes.TemplateData(mark(node.lineno), lineno=node.lineno))
            marked.append(node)
        output.nodes = marked


@contextmanager
def located(names: Names) -> Iterator[None]:
    """Whatever goes wrong in a template becomes a ProjectError at the template's line."""
    try:
        yield
    except jinja2.UndefinedError as error:
        message, word = _undefined(error.message or "")
        otherwise = f"set it before, or write var('{word}')" if "unknown name" in message else None
        raise _at(ProjectError(message, hint=names.nearest(word) or otherwise), error) from None
    except SegflowError as error:
        raise _at(error, error) from None
    except jinja2.TemplateError as error:
        raise _at(ProjectError(f"broken Jinja: {_plain(error.message)}"), error) from None
    except MacroReturn as error:
        raise _at(ProjectError("`return` stands outside of a macro"), error) from None
    except RecursionError as error:
        raise _at(ProjectError("broken Jinja: a macro calls itself without end"), error) from None
    except _PYTHON as error:
        raise _at(ProjectError(f"broken Jinja: {_plain(str(error))}"), error) from None


def _at(wrong: SegflowError, error: BaseException) -> SegflowError:
    """`wrong` with the innermost line of a template on the way to `error`, and who called it."""
    lines = _lines(error)
    if wrong.location is None and lines:
        # Python may give up anywhere in a macro that calls itself; the call is what recurs.
        last = max(lines, key=lines.count) if isinstance(error, RecursionError) else lines[-1]
        wrong.location = _exact(last, wrong.message)
        if lines[0].path != lines[-1].path:
            wrong.message += f" (called from {lines[0]})"
    return wrong


def _lines(error: BaseException) -> list[Location]:
    """The lines of templates on the way to `error`, the outermost first."""
    found = []
    trace: TracebackType | None = error.__traceback__
    while trace:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template) and template.filename:
            line = template.get_corresponding_lineno(trace.tb_lineno)
            found.append(Location(Path(template.filename), line))
        trace = trace.tb_next
    return found


def _exact(begin: Location, message: str) -> Location:
    """The line of the word that a message quotes, in an expression that begins at `begin`."""
    word = re.search(r"`([^`]+)`", message)
    try:
        lines = begin.path.read_text("utf-8").splitlines()
    except OSError:
        return begin
    first = (begin.line or 1) - 1
    for number, line in enumerate(lines[first:], first + 1):
        if word and re.search(rf"(?<!\w){re.escape(word[1])}(?!\w)", line):
            return Location(begin.path, number)
        if "}}" in line or "%}" in line:
            break
    return begin


def _undefined(message: str) -> tuple[str, str]:
    """Jinja's words for what is not there in plainer ones, and the name that is not."""
    for pattern, said in (
        (r"'(\w+)' is undefined", "unknown name `{}`"),
        (r"parameter '(\w+)' was not provided", "the argument `{}` is missing"),
        (r".*has no attribute '(\w+)'", "there is no `{}` here"),
    ):
        match = re.fullmatch(pattern, message)
        if match:
            return said.format(match[1]), match[1]
    return _plain(message) or "something is undefined", ""


def _mend(message: str) -> str:
    """What to do about what Jinja does not understand."""
    tag = re.search(r"unknown tag '(\w+)'", message)
    near = did_you_mean(tag[1], _TAGS) if tag else None
    unclosed = re.search(r"needs to be closed is '(\w+)'", message)
    if unclosed and not near:
        return f"close it: {{% end{unclosed[1]} %}}"
    return near or "a value stands in {{ … }}, a statement in {% … %}, each with its end"


def _plain(message: str | None) -> str:
    """A message of Python's without the names that only segflow's own code knows."""
    return re.sub(r"\b_?\w*\.?<locals>\.", "", (message or "").replace(_OWN, ""))
