"""A place in rendered text in, the lines of the templates that wrote it out.

Only an error asks for this. The template is rendered once more, with a mark before every line and
every expression that says which line of which file it is.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from segflow.errors import Location

_MARK = re.compile("\ue000(\\d+):(\\d+)\ue001")


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
