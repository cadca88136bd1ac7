"""Folders in, the project's files out, sorted; a CSV file in, its columns or what is wrong out."""

import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from msgspec import Struct

from segflow.errors import Location, ProjectError
from segflow.project import documents
from segflow.project.cache import Cache


class File(Struct, frozen=True):
    """A file by its path from the package's root; `folders` lie between the listed one and it."""

    path: Path
    relative: str
    folders: tuple[str, ...]

    @property
    def stem(self) -> str:
        return self.relative.rpartition("/")[2].rpartition(".")[0]

    @property
    def suffix(self) -> str:
        return self.relative[self.relative.rfind(".") :]


def below(root: Path, folders: Iterable[str]) -> list[File]:
    """The files below `folders` of `root`, each once; a missing folder is empty."""
    found: dict[str, File] = {}
    for folder in folders:
        for relative, between in sorted(_walk(str(root), folder.strip("/"), ())):
            found.setdefault(relative, File(root / relative, relative, between))
    return list(found.values())


def _walk(
    root: str, folder: str, between: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    try:
        entries = list(os.scandir(f"{root}/{folder}"))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(root, f"{folder}/{entry.name}", (*between, entry.name))
        else:
            yield f"{folder}/{entry.name}", between


def readable(root: Path, text: str) -> str:
    """What stands after FROM for data in files: a quoted path, or a call as it is."""
    text = text.replace("{root}", str(root))
    if re.match(r"\s*\w+\s*\(", text):
        return text
    path = text if "://" in text else str(root / text)
    return "'" + path.replace("'", "''") + "'"


def read_header(path: Path, delimiter: str, cache: Cache) -> tuple[tuple[str, ...], str]:
    """The names of a seed's columns, and a digest of all it holds.

    The rows are looked through once for every new content.

    Raises:
        ProjectError: the header has no or doubled names, or a row has too many or too few cells.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").digest()
    make = partial(_look_through, path, delimiter)
    return cache.get(["seed", digest, delimiter], tuple[str, ...], make), digest.hex()


def _look_through(path: Path, delimiter: str) -> tuple[str, ...]:
    csv.field_size_limit(sys.maxsize)
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
            header = tuple(cell.strip() for cell in next(reader, ()))
            message = _wrong_header(header)
            if message:
                raise ProjectError(message, Location(path, 1))
            line = reader.line_num + 1
            for row in reader:
                if row and len(row) != len(header):
                    cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
                    message = f"the row has {cells}, the header {len(header)}"
                    hint = f"every column has a cell, an empty one too: a{delimiter}{delimiter}c"
                    if len(row) > len(header):
                        hint = f"put a cell that holds a `{delimiter}` in double quotes"
                    raise ProjectError(message, Location(path, line), hint)
                line = reader.line_num + 1
            return header
    except csv.Error as error:
        raise ProjectError(f"broken CSV: {error}", Location(path, line)) from None
    except UnicodeDecodeError:
        # Reading it whole says at which line.
        documents.read(path)
        raise


def _wrong_header(header: tuple[str, ...]) -> str | None:
    if not any(header):
        return "the seed is empty: its first line names the columns"
    seen: set[str] = set()
    for number, name in enumerate(header, 1):
        if not name:
            return f"column {number} has no name"
        if name.lower() in seen:
            return f"two columns are named `{name}`"
        seen.add(name.lower())
    return None
