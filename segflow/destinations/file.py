"""Files for people and for tools that fetch: CSV, JSON Lines or Parquet, with a manifest beside them."""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from segflow.errors import StepError

MANIFEST = "manifest.json"

# A spreadsheet takes a cell that starts so for a formula, and runs it.
_FORMULA = r"^[=+\-@\t\r\n]"


class FileSettings(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["csv", "jsonl", "parquet"] = "csv"


class File:
    """A folder with one file per audience. Each is written whole or not at all."""

    Settings = FileSettings

    def __init__(self, settings: FileSettings, folder: Path):
        self._settings = settings
        self._folder = folder

    def path(self, audience: str) -> Path:
        return self._folder / f"{audience}.{self._settings.format}"

    @property
    def format(self) -> str:
        return self._settings.format

    def query(self, relation: str, columns: list[tuple[str, str]], key: str) -> str:
        """The SELECT to write: sorted by the key, and harmless to whoever opens it."""
        listed = ", ".join(self._cell(name, kind) for name, kind in columns)
        return f"select {listed} from {relation} order by {_quoted(key)}"

    def write(self, audience: str, export: Callable[[Path], int], about: dict[str, Any]) -> Path:
        """Put a new file in the place of the old one, then say so in the manifest.

        Args:
            export: writes the rows to a path and returns their number.
            about: what the manifest says of them besides rows and sha256.
        """
        path = self.path(audience)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                rows = export(scratch)
                digest = hashlib.sha256(scratch.read_bytes()).hexdigest()
                _sync(scratch)
                scratch.replace(path)
            finally:
                scratch.unlink(missing_ok=True)
            self._note(audience, {"file": path.name, "rows": rows, "sha256": digest, **about})
        except OSError as error:
            raise StepError(f"cannot write {path}: {error.strerror}") from None
        return path

    def keep(self, audience: str, reason: str) -> None:
        """Leave yesterday's file and say in the manifest that it is yesterday's, and why."""
        before = self._manifest().get(audience)
        if before is not None:
            self._note(audience, {**before, "state": "kept", "reason": reason})

    def forget(self, audiences: set[str]) -> None:
        """Drop the files of audiences that are no longer delivered here."""
        manifest = self._manifest()
        for name in sorted(set(manifest) - audiences):
            (self._folder / str(manifest[name]["file"])).unlink(missing_ok=True)
            del manifest[name]
            self._save(manifest)

    def _cell(self, name: str, kind: str) -> str:
        column = _quoted(name)
        if kind.endswith("[]") and self._settings.format == "csv":
            return f"array_to_string({column}, ';') as {column}"
        if kind == "VARCHAR" and self._settings.format == "csv":
            guarded = f"case when regexp_matches({column}, '{_FORMULA}')"
            return f"{guarded} then '''' || {column} else {column} end as {column}"
        return column

    def _manifest(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads((self._folder / MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def _note(self, audience: str, entry: dict[str, Any]) -> None:
        self._save({**self._manifest(), audience: entry})

    def _save(self, manifest: dict[str, dict[str, Any]]) -> None:
        scratch = self._folder / f".{MANIFEST}.{os.getpid()}"
        scratch.write_text(json.dumps(manifest, indent=2, sort_keys=True, default=_text) + "\n")
        _sync(scratch)
        scratch.replace(self._folder / MANIFEST)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
