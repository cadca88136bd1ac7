"""DuckDB: a run works on a copy of the published file and then takes its place."""

import contextlib
import fcntl
import glob
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct

from segflow.engines.base import Column, EngineError, Row
from segflow.errors import WorkspaceError

# Readers with DuckDB 1.4 and later, which most BI tools embed, can open this format.
_FORMAT = "STORAGE_VERSION 'v1.4.0', RECOVERY_MODE no_wal_writes"
_FICLONE = 0x40049409
_KINDS = {"BASE TABLE": "table", "VIEW": "view"}
_EXPORT = {
    "csv": "(FORMAT csv, HEADER, USE_TMP_FILE false)",
    "jsonl": "(FORMAT json, ARRAY false, USE_TMP_FILE false)",
    "parquet": "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)",
}


class DuckDBSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`path` is relative to the project; `memory_limit` as DuckDB writes it, as in `4GB`."""

    path: str = "warehouse/segflow.duckdb"
    memory_limit: str | None = None
    temp_directory: str | None = None


class DuckDB:
    """One database file, published by replacing it."""

    Settings = DuckDBSettings

    def __init__(self, settings: DuckDBSettings, root: Path, threads: int):
        self._settings = settings
        self._path = root / settings.path
        self._copy = self._path.with_name(f"{self._path.name}.run-{os.getpid()}")
        self._threads = threads
        self._building = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def location(self) -> Path:
        return self._path

    def exists(self) -> bool:
        return self._path.exists()

    def open_run(self) -> None:
        self.discard_run()
        wal = self._path.with_name(f"{self._path.name}.wal")
        if wal.exists():
            raise WorkspaceError(
                f"{wal} lies beside the database: something else writes to it",
                hint="close the writer; if there is none, remove the .wal",
            )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_copies()
            self._building = True
            if self._path.exists():
                _copy(self._path, self._copy)
        except OSError as error:
            self.discard_run()
            raise WorkspaceError(f"cannot copy {self._path}: {error.strerror}") from None
        self._connect(self._copy, _FORMAT)

    def commit_run(self) -> None:
        try:
            with self.session() as session:
                session.execute("CHECKPOINT db")
            self._close()
            _sync(self._copy)
            self._copy.replace(self._path)
            _sync(self._path.parent)
        except (EngineError, duckdb.Error, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else _line(error)
            raise EngineError(f"{self._path} was not published: {why}") from None
        self._building = False

    def discard_run(self) -> None:
        try:
            self._close()
        except duckdb.Error:  # a full disk, say: what is thrown away need not be whole
            self._connection = None
        if self._building:
            self._remove_copies()
        self._building = False

    @contextlib.contextmanager
    def session(self) -> Iterator["DuckDBSession"]:
        if self._connection is None:
            self._connect(self._path, "READ_ONLY")
        assert self._connection is not None
        cursor = self._connection.cursor()
        try:
            cursor.execute("USE db")
            yield DuckDBSession(cursor)
        finally:
            cursor.close()

    def abandon_run(self) -> bool:
        if not (self._building and self._copy.exists()):
            return False
        self._remove_copies()
        return True

    def _remove_copies(self) -> None:
        """Remove what runs leave behind that were killed, and what they spilled."""
        for left_over in self._path.parent.glob(f"{glob.escape(self._path.name)}.run-*"):
            if left_over.is_dir():
                shutil.rmtree(left_over, ignore_errors=True)
            else:
                left_over.unlink(missing_ok=True)

    def _connect(self, path: Path, options: str) -> None:
        try:
            connection = duckdb.connect(":memory:", config=self._config())
        except duckdb.Error as error:
            raise WorkspaceError(
                f"DuckDB refuses the target's settings: {_line(error)}",
                hint="memory_limit is written as in 4GB",
            ) from None
        try:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute(f"ATTACH {_literal(str(path))} AS db ({options})")
        except duckdb.Error as error:
            connection.close()
            self.discard_run()
            hint = "name another path, or update segflow where a newer DuckDB wrote this file"
            if "lower than" in str(error):
                hint = "name another path: something else wrote this file, with an older DuckDB"
            said = _line(error).replace(str(path), str(self._path))
            raise WorkspaceError(f"{self._path} cannot be opened: {said}", hint=hint) from None
        self._connection = connection

    def _config(self) -> dict[str, Any]:
        spill = f"{self._path.name}.{'run' if self._building else 'read'}-{os.getpid()}.tmp"
        limit = self._settings.memory_limit
        return {
            "threads": max(self._threads, os.cpu_count() or 1),
            "temp_directory": self._settings.temp_directory or str(self._path.with_name(spill)),
            **({"memory_limit": limit} if limit else {}),
        }

    def _close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.execute("USE memory")
                self._connection.execute("DETACH db")
            finally:
                self._connection.close()
                self._connection = None


class DuckDBSession:
    """A cursor on the attached database."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection):
        self._cursor = cursor

    def execute(self, sql: str) -> None:
        self.rows(sql)

    def rows(self, sql: str) -> list[Row]:
        try:
            return self._cursor.execute(sql).fetchall()
        except duckdb.Error as error:
            raise _refused(error) from None

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        rows = self.rows(sql)
        return [column[0] for column in self._cursor.description or []], rows

    def columns(self, query: str) -> list[Column]:
        return [(row[0], row[1]) for row in self.rows(f"DESCRIBE\n{query}")]

    def relation_type(self, schema: str, name: str) -> str | None:
        return self.relations().get((schema.lower(), name.lower()))

    def relations(self) -> dict[tuple[str, str], str]:
        found = self.rows(
            "SELECT lower(table_schema), lower(table_name), table_type"
            " FROM information_schema.tables WHERE table_catalog = 'db'"
        )
        return {(schema, name): _KINDS[kind] for schema, name, kind in found if kind in _KINDS}

    def load_csv(self, relation: str, path: Path, types: Mapping[str, str], delimiter: str) -> None:
        given = ", ".join(f"{_literal(name)}: {_literal(kind)}" for name, kind in types.items())
        options = f", types = {{{given}}}" if types else ""
        self.execute(
            f"CREATE OR REPLACE TABLE {relation} AS SELECT * FROM read_csv({_literal(str(path))},"
            f" header = true, delim = {_literal(delimiter)}, quote = '\"', escape = '\"',"
            f" comment = '', skip = 0, null_padding = false, sample_size = -1{options})"
        )

    def export(self, query: str, path: Path, file_format: str) -> int:
        found = self.rows(f"COPY ({query}) TO {_literal(str(path))} {_EXPORT[file_format]}")
        return int(found[0][0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self._cursor.execute("ROLLBACK")
            raise
        self.execute("COMMIT")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, copy: Path) -> None:
    """Copy a file that nobody writes, sharing its blocks where the file system can."""
    with source.open("rb") as old, copy.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfile(source, copy)


def _refused(error: duckdb.Error) -> EngineError:
    is_unread = isinstance(error, duckdb.ParserException)
    hint = "a name that is a word of SQL itself stands in double quotes" if is_unread else None
    found = EngineError(_line(error), hint=hint)
    place = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
    found.line = int(place[1]) if place else None
    return found


def _line(error: Exception) -> str:
    """DuckDB's message in one line: without its heading, and without the statement."""
    text = str(error).partition("\nLINE ")[0].strip()
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
