"""A project's files as one archive, and back: what an earlier run was made of.

Packages outside the project's folder are in it too, as they lie to each other. Files that sources
name are not: they are read where they lie today.
"""

import io
import os
import zipfile
import zlib
from pathlib import Path

from segflow.project.cache import state_of
from segflow.project.load import Project

NAME = "project.zip"
# Where the project itself lies among the packages.
_ROOT = ".root"
# The earliest moment that the format knows: the same files give the same bytes.
_THEN = (1980, 1, 1, 0, 0, 0)


def pack(project: Project, path: Path) -> None:
    """Write the archive of a project, unless the one there is of these very files."""
    state = state_of(project.files).encode()
    if path.exists() and _comment(path) == state:
        return
    base = _base(project)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = state
        archive.writestr(zipfile.ZipInfo(_ROOT, _THEN), str(project.root.relative_to(base)))
        for file in sorted(project.files):
            name = zipfile.ZipInfo(file.relative_to(base).as_posix(), _THEN)
            name.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(name, file.read_bytes())
    scratch.replace(path)


def unpack(archive: bytes, folder: Path) -> Path:
    """Put an archive's files into `folder`; the project's own folder among them."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)
        return folder / packed.read(_ROOT).decode()


def contents(archive: bytes) -> dict[str, int]:
    """The files of an archive by name, each with a checksum of what is in it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return {info.filename: info.CRC for info in packed.infolist()}


def edited(project: Project, archive: bytes) -> set[Path]:
    """The files of a project that an archive does not have as they are now."""
    base, was = _base(project), contents(archive)
    return {
        file
        for file in project.files
        if was.get(file.relative_to(base).as_posix()) != zlib.crc32(file.read_bytes())
    }


def _base(project: Project) -> Path:
    return Path(os.path.commonpath([package.root for package in project.packages]))


def _comment(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment
    except (OSError, zipfile.BadZipFile):
        return b""
