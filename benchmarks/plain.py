"""`python plain.py DATABASE SCRIPT`: run finished statements the way segflow publishes its own.

It works on a copy of the file, which takes the file's place when the script says so; what comes
after that reads what was published. It knows nothing of segflow.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

Cursors = dict[int, duckdb.DuckDBPyConnection]

_WRITE = "STORAGE_VERSION 'v1.4.0', RECOVERY_MODE no_wal_writes"


def attached(path: Path, options: str) -> duckdb.DuckDBPyConnection:
    """A database in memory with the file attached as `db`."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(path.parent / ".tmp")
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute(f"attach '{path}' as db ({options})")
    return connection


def publish(connection: duckdb.DuckDBPyConnection, copy: Path, path: Path) -> None:
    """Close the copy and put it in the place of the file."""
    connection.execute("checkpoint db")
    connection.execute("detach db")
    connection.close()
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.replace(path)


def execute(connection: duckdb.DuckDBPyConnection, cursors: Cursors, name: int, sql: str) -> None:
    """Run one statement on the cursor of that name, and fetch what it returns."""
    if name not in cursors:
        cursors[name] = connection.cursor()
        cursors[name].execute("use db")
    cursors[name].execute(sql).fetchall()


def events(script: Path) -> Iterator[list[object]]:
    with script.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def main(path: Path, script: Path) -> None:
    """Replay a script."""
    copy = path.with_name(f"{path.name}.copy")
    if path.exists():
        shutil.copyfile(path, copy)
    connection = attached(copy, _WRITE)
    cursors: Cursors = {}
    for event in events(script):
        if event[0] == "publish":
            for cursor in cursors.values():
                cursor.close()
            cursors.clear()
            publish(connection, copy, path)
            connection = attached(path, "READ_ONLY")
        else:
            execute(connection, cursors, int(str(event[1])), str(event[2]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
