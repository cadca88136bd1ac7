"""Files for people and for tools that fetch: CSV, JSON Lines or Parquet, beside a manifest."""

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from segflow.errors import StepError

MANIFEST = "manifest.json"

# A spreadsheet takes a cell that starts so for a formula, and runs it. Full-width signs will do,
# and so does what comes behind a semicolon, where it splits lines at these.
_FORMULA = r"^(;*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"
# Types whose text no spreadsheet takes for a formula; a minus before digits is a number.
_HARMLESS = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(.*\)|FLOAT|DOUBLE|BOOLEAN|DATE|TIME.*|UUID"
)


class FileSettings(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["csv", "jsonl", "parquet"] = "csv"


class File:
    """A folder with one file per audience. Each is written whole or not at all."""

    Settings = FileSettings

    def __init__(self, settings: FileSettings, folder: Path, audiences: frozenset[str]):
        self._settings = settings
        self._folder = folder
        self._audiences = audiences

    def path(self, audience: str) -> Path:
        return self._folder / f"{audience}.{self._settings.format}"

    @property
    def format(self) -> str:
        return self._settings.format

    def query(self, relation: str, columns: list[tuple[str, str]], key: str) -> str:
        """The SELECT to write: sorted by the key, and harmless to whoever opens it."""
        listed = ", ".join(self._cell(name, kind) for name, kind in columns)
        return f"select {listed} from {relation} order by {_quoted(key)}"

    def write(
        self, audience: str, export: Callable[[Path], int], about: dict[str, Any]
    ) -> tuple[Path, int]:
        """Put a new file in the place of the old one, then say so in the manifest.

        Args:
            export: writes the rows to a path and returns their number.
            about: what the manifest says of them besides rows and sha256.

        Returns:
            The file, and its rows.
        """
        path = self.path(audience)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        with self._told(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            for left_over in self._folder.glob(f".{glob.escape(path.name)}.*"):
                left_over.unlink()
            try:
                rows = export(scratch)
                with scratch.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
                scratch.replace(path)
            finally:
                scratch.unlink(missing_ok=True)
            before = self._manifest()
            former = before.get(audience, {}).get("file", path.name)
            entry = {"file": path.name, "rows": rows, "sha256": digest, **about}
            self._save({**before, audience: entry})
            if former != path.name:
                (self._folder / former).unlink(missing_ok=True)
        return path, rows

    def keep(self, audience: str, reason: str) -> None:
        """Leave yesterday's file and say in the manifest that it is yesterday's, and why."""
        manifest = self._manifest()
        if audience in manifest:
            kept = {**manifest[audience], "state": "kept", "reason": reason}
            with self._told(self._folder / MANIFEST):
                self._save({**manifest, audience: kept})

    def forget(self) -> None:
        """Remove the files of audiences that the project no longer has, or sends elsewhere."""
        manifest = self._manifest()
        with self._told(self._folder / MANIFEST):
            for name in sorted(manifest.keys() - self._audiences):
                (self._folder / manifest.pop(name)["file"]).unlink(missing_ok=True)
                self._save(manifest)

    def is_whole(self, audiences: set[str]) -> bool:
        """Whether these are all that the project sends here."""
        return self._audiences <= audiences

    def _cell(self, name: str, kind: str) -> str:
        column = _quoted(name)
        if self._settings.format != "csv" or _HARMLESS.fullmatch(kind):
            return column
        if kind.endswith("[]"):
            items = f"list_transform({column}, lambda item: {_guarded('item')})"
            if _HARMLESS.fullmatch(kind.removesuffix("[]")):
                items = column
            return f"array_to_string({items}, ';') as {column}"
        return f"{_guarded(column)} as {column}"

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        """What the disk refuses is told as a failure of this file."""
        try:
            yield
        except OSError as error:
            raise StepError(f"cannot write {path}: {error.strerror}") from None

    def _manifest(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads((self._folder / MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def _save(self, manifest: dict[str, dict[str, Any]]) -> None:
        scratch = self._folder / f".{MANIFEST}.{os.getpid()}"
        text = json.dumps(manifest, indent=2, sort_keys=True, default=_text)
        with scratch.open("w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._folder / MANIFEST)


def _guarded(value: str) -> str:
    """A value as text that a spreadsheet does not run."""
    text = f"cast({value} as varchar)"
    return f"case when regexp_matches({text}, '{_FORMULA}') then chr(39) || {text} else {text} end"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
