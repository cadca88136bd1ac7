"""A CSV file in, its columns out, or the line that is wrong with it."""

import csv
import hashlib
import sys
from pathlib import Path

from msgspec import Struct

from segflow.errors import Location, ProjectError
from segflow.project import documents
from segflow.project.cache import Cache


class Findings(Struct, frozen=True):
    """The header of a seed, and what is wrong at which line, None where nothing is."""

    header: tuple[str, ...] = ()
    message: str | None = None
    line: int = 1
    hint: str | None = None


def read_header(path: Path, delimiter: str, cache: Cache) -> tuple[tuple[str, ...], str]:
    """The names of a seed's columns, and a digest of all it holds.

    The rows are looked through once for every new content.

    Raises:
        ProjectError: the header has no or doubled names, or a row has too many or too few cells.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").digest()
    found = cache.get(["seed", digest, delimiter], Findings, lambda: _look_through(path, delimiter))
    if found.message:
        raise ProjectError(found.message, Location(path, found.line), found.hint)
    return found.header, digest.hex()


def _look_through(path: Path, delimiter: str) -> Findings:
    csv.field_size_limit(sys.maxsize)
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
            header = tuple(cell.strip() for cell in next(reader, ()))
            message = _wrong_header(header)
            if message:
                return Findings(message=message)
            line = reader.line_num + 1
            for row in reader:
                if row and len(row) != len(header):
                    cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
                    message = f"the row has {cells}, the header {len(header)}"
                    hint = f"every column has a cell, an empty one too: a{delimiter}{delimiter}c"
                    if len(row) > len(header):
                        hint = f"put a cell that holds a `{delimiter}` in double quotes"
                    return Findings(message=message, line=line, hint=hint)
                line = reader.line_num + 1
    except csv.Error as error:
        return Findings(message=f"broken CSV: {error}", line=line)
    except UnicodeDecodeError:
        # Reading it whole says at which line.
        documents.read(path)
        raise
    return Findings(header)


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
