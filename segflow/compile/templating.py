"""Templates and names in, text out: Jinja in a sandbox, macros by name, errors with a line."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from segflow.errors import Location, ProjectError, SegflowError, did_you_mean
from segflow.project.nodes import MacroFile

_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\(")
# dbt's generic tests are macros by another name.
_TEST = re.compile(r"(\{%-?\s*)test(\s+)(\w+)(\s*\()")
_END_TEST = re.compile(r"(\{%-?\s*)endtest(\s*-?%\})")

BUILT_IN = "segflow"


class MacroReturn(Exception):
    """Carries what `{{ return(value) }}` names to the caller of its macro."""

    def __init__(self, value: Any):
        self.value = value


class Library:
    """Every macro of the project, its packages and segflow's own; the first of a name wins."""

    def __init__(self, files: Iterable[MacroFile]):
        self._environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
            keep_trailing_newline=True,
        )
        self._files: dict[Path, str] = {}
        self._templates: dict[Path, jinja2.Template] = {}
        self._owner: dict[str, Path] = {}
        self._of_package: dict[str, dict[str, Path]] = {}
        for macro_file in [*files, *_built_in()]:
            text = _TEST.sub(r"\1macro\2test_\3\4", macro_file.text)
            text = _END_TEST.sub(r"\1endmacro\2", text)
            self._files[macro_file.file] = text
            package = self._of_package.setdefault(macro_file.package, {})
            for name in _MACRO.findall(text):
                package[name] = macro_file.file
                self._owner.setdefault(name, macro_file.file)

    @property
    def names(self) -> set[str]:
        return set(self._owner)

    @property
    def packages(self) -> set[str]:
        return set(self._of_package)

    @property
    def text(self) -> str:
        """All macros as one text, for telling whether one has changed."""
        return "\0".join(self._files.values())

    def template(self, text: str, path: Path) -> jinja2.Template:
        """`text` compiled; its errors will name `path`."""
        try:
            code = self._environment.compile(text, str(path), str(path))
        except jinja2.TemplateSyntaxError as error:
            raise ProjectError(
                f"broken Jinja: {error.message}", Location(path, error.lineno)
            ) from None
        return jinja2.Template.from_code(self._environment, code, {})

    def macro(self, name: str, names: "Names", package: str | None = None) -> Callable[..., Any]:
        """The macro `name`, seeing `names`."""
        path = (self._of_package[package] if package else self._owner)[name]
        if path not in self._templates:
            self._templates[path] = self.template(self._files[path], path)
        module = self._templates[path].make_module(names, shared=True)
        macro = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return macro(*args, **kwargs)
            except MacroReturn as returned:
                return returned.value

        return call

    def namespace(self, package: str, names: "Names") -> "Namespace":
        return Namespace(self, package, names)

    def has(self, package: str, name: str) -> bool:
        return name in self._of_package[package]


class Namespace:
    """The macros of one package, as in `{{ segflow.within_last(…) }}`."""

    def __init__(self, library: Library, package: str, names: "Names"):
        self._library, self._package, self._names = library, package, names

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not self._library.has(self._package, name):
            raise AttributeError(name)
        return self._library.macro(name, self._names, self._package)


class Names(dict[str, Any]):
    """Everything a template may name; a macro is built when it is first asked for."""

    def __init__(self, own: dict[str, Any], library: Library, overrides: dict[str, Any]):
        super().__init__(own)
        self._library = library
        for name, value in overrides.items():
            self[name] = lambda *_, value=value, **__: value

    def __contains__(self, name: object) -> bool:
        return (
            super().__contains__(name)
            or name in self._library.names
            or name in self._library.packages
        )

    def __missing__(self, name: str) -> Any:
        found: Any
        if name in self._library.names:
            found = self._library.macro(name, self)
        elif name in self._library.packages:
            found = self._library.namespace(name, self)
        else:
            raise KeyError(name)
        self[name] = found
        return found

    def nearest(self, name: str) -> str | None:
        return did_you_mean(name, [*self, *self._library.names])


def render(template: jinja2.Template, names: Names) -> str:
    """The text of a template.

    Raises:
        ProjectError: at the line of the template, or of the macro, that went wrong.
    """
    context = template.new_context(names, shared=True)
    with _located(names):
        return "".join(template.root_render_func(context))


def call(name: str, names: Names, **arguments: Any) -> str:
    """What the macro `name` makes of `arguments`; raises ProjectError as `render` does."""
    with _located(names):
        return str(names[name](**arguments))


@contextmanager
def _located(names: Names) -> Iterator[None]:
    """Whatever goes wrong in a template becomes a ProjectError at the template's line."""
    try:
        yield
    except jinja2.UndefinedError as error:
        unknown = re.search(r"'(\w+)' is undefined", error.message or "")
        hint = names.nearest(unknown[1]) if unknown else None
        raise ProjectError(error.message or "undefined", _where(error), hint) from None
    except SegflowError as error:
        error.location = error.location or _where(error)
        raise
    except jinja2.TemplateError as error:
        raise ProjectError(f"broken Jinja: {error.message}", _where(error)) from None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise ProjectError(f"broken Jinja: {error}", _where(error)) from None


def _where(error: BaseException) -> Location | None:
    """The innermost line of a template on the way to `error`."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template) and template.filename:
            line = template.get_corresponding_lineno(trace.tb_lineno)
            found = Location(Path(template.filename), line)
        trace = trace.tb_next
    return found


def _built_in() -> list[MacroFile]:
    folder = Path(__file__).parent / "macros"
    return [
        MacroFile(BUILT_IN, path, path.read_text("utf-8")) for path in sorted(folder.glob("*.sql"))
    ]
