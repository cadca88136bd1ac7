"""Folders in, the project's files out: sorted, so that nothing depends on the disk's order."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct


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
