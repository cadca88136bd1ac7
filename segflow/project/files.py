"""Folders in, the project's files out, sorted by path: nothing depends on the disk's order."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def below(root: Path, folders: Iterable[str], *suffixes: str) -> Iterator[Path]:
    """Files with one of `suffixes` below the `folders` of `root`; a missing folder is empty."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and not path.name.startswith("."):
                yield path


def folders_of(path: Path, root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """The folders between the model path (or seed path, …) that holds `path`, and `path` itself."""
    for folder in paths:
        if path.is_relative_to(root / folder):
            return path.relative_to(root / folder).parent.parts
    return path.relative_to(root).parent.parts
