"""Macro files in, macros by name out; Jinja is loaded when the first template is rendered.

`Marks` find the lines of templates that wrote a place in rendered text. Only an error asks for
them: then the template is rendered once more, with a mark before every line and every expression.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project.cache import Cache
from segflow.project.nodes import MacroFile

if TYPE_CHECKING:
    from segflow.compile.templating import Macro, Templates

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
# dbt's generic tests are macros by another name.
_MACRO = re.compile(r"\{%-?\s*(macro|test)\s+(\w+)\s*\(")

_MARK = re.compile("\ue000(\\d+):(\\d+)\ue001")

BUILT_IN = "segflow"


class MacroReturn(Exception):
    """Carries what `{{ return(value) }}` names to the caller of its macro."""

    def __init__(self, value: Any):
        self.value = value


class Marks:
    """The files that are marked; a mark holds a file's number and a line."""

    def __init__(self) -> None:
        self._files: list[Path] = []

    def of(self, path: Path) -> Callable[[int], str]:
        """The marks of one file, by line."""
        number = len(self._files)
        self._files.append(path)
        return lambda line: f"\ue000{number}:{line}\ue001"

    def trace(self, marked: str, text: str, offset: int, path: Path) -> list[Location]:
        """The lines that wrote `text[offset]`: the innermost, then the one in `path` that called.

        Args:
            marked: what the marked template rendered; `text` is part of it but for the marks.
        """
        starts: list[int] = []
        places: list[Location] = []
        first, *rest = _MARK.split(marked)
        pieces = [first]
        length = len(first)
        for number, line, piece in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            starts.append(length)
            places.append(Location(self._files[int(number)], int(line)))
            pieces.append(piece)
            length += len(piece)
        shift = "".join(pieces).find(text)
        if shift < 0:
            return []
        before = places[: bisect_right(starts, shift + offset)]
        own = [place for place in before if place.path == path]
        return list(dict.fromkeys([*before[-1:], *own[-1:]]))


class Library:
    """Every macro of the project, its packages and segflow's own; the first of a name wins.

    With `marks` every line of them is marked.
    """

    def __init__(self, files: Iterable[MacroFile], marks: Marks | None = None):
        self._marks = marks
        self._files: dict[Path, str] = {}
        self._owner: dict[str, Path] = {}
        self._of_package: dict[str, dict[str, Path]] = {}
        folder = Path(__file__).parent / "macros"
        built_in = [
            MacroFile(BUILT_IN, path, path.read_text("utf-8"))
            for path in sorted(folder.glob("*.sql"))
        ]
        for file in [*files, *built_in]:
            self._add(file)

    def _add(self, file: MacroFile) -> None:
        self._files[file.file] = file.text
        package = self._of_package.setdefault(file.package, {})
        for kind, word in _MACRO.findall(_COMMENT.sub("", file.text)):
            name = f"test_{word}" if kind == "test" else word
            if name in package:
                other = find_line(self._files[package[name]], rf"{kind}\s+{word}\b")
                raise ProjectError(
                    f"two {kind}s are named `{word}`, also {Location(package[name], other)}",
                    Location(file.file, find_line(file.text, rf"{kind}\s+{word}\b", -1)),
                    "rename one",
                )
            package[name] = file.file
            self._owner.setdefault(name, file.file)

    @property
    def names(self) -> set[str]:
        return set(self._owner)

    @property
    def tests(self) -> set[str]:
        """The generic tests, by the name they have in YAML."""
        return {name.removeprefix("test_") for name in self._owner if name.startswith("test_")}

    @cached_property
    def digest(self) -> str:
        """Tells whether any macro, or which package has it, has changed."""
        parts = (f"{package}\0{sorted(names)}" for package, names in self._of_package.items())
        return hashlib.sha256("\0\0".join([*parts, *self._files.values()]).encode()).hexdigest()

    @cached_property
    def templates(self) -> Templates:
        # Where nothing changed since the last command, nothing is rendered.
        from segflow.compile.templating import Templates

        return Templates(self._marks)

    def check(self, cache: Cache) -> None:
        """Parse every macro file that is new, also where nothing calls its macros.

        Raises:
            ProjectError: one is broken.
        """
        for path, text in self._files.items():
            cache.get(["jinja", text], type(None), partial(self._compile, text, path))

    def _compile(self, text: str, path: Path) -> None:
        self.templates.compile_macros(text, path)

    def macro(self, name: str, names: Names, package: str | None = None) -> Macro:
        """The macro `name`, seeing `names`."""
        path = (self._of_package[package] if package else self._owner)[name]
        return self.templates.macro(self._files[path], path, name, names)

    def find(self, name: str, names: Names) -> Any:
        """What a template means by `name`: a macro, a package's macros, or something of Jinja's."""
        if name in self._owner:
            return self.macro(name, names)
        if name in self._of_package:
            return _Namespace(name, self._of_package[name], partial(self.macro, names=names))
        return self.templates.globals[name]

    def has(self, name: str) -> bool:
        return name in self._owner or name in self._of_package or name in self.templates.globals


class Names(dict[str, Any]):
    """Everything a template may name; a macro is built when it is first asked for."""

    def __init__(
        self,
        own: dict[str, Any],
        library: Library,
        overrides: dict[str, Any],
        execute: Callable[[], bool],
    ):
        super().__init__(own)
        self._library, self._execute = library, execute
        for name, value in overrides.items():
            self[name] = lambda *_, value=value, **__: value

    def __contains__(self, name: object) -> bool:
        return name == "execute" or super().__contains__(name) or self._library.has(str(name))

    def __missing__(self, name: str) -> Any:
        if name == "execute":
            # Whether a template may ask the database; it is asked each time it is read.
            return self._execute()
        self[name] = found = self._library.find(name, self)
        return found

    def nearest(self, name: str) -> str | None:
        return did_you_mean(name, [*self, *self._library.names])


class _Namespace:
    """The macros of one package, as in `{{ segflow.within_last(…) }}`."""

    def __init__(self, package: str, known: Iterable[str], macro: Callable[..., Macro]):
        self._package, self._known, self._macro = package, known, macro

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._known:
            hint = did_you_mean(name, self._known)
            raise ProjectError(f"unknown macro `{self._package}.{name}`", hint=hint)
        return self._macro(name, package=self._package)


def find_line(text: str, pattern: str, place: int = 0) -> int | None:
    """The first line, counted from 1, that has `pattern`; the last one where `place` is -1."""
    found = [match.start() for match in re.finditer(pattern, text, re.IGNORECASE)]
    return text.count("\n", 0, found[place]) + 1 if found else None
