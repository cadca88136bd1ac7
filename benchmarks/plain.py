"""`python plain.py DATABASE SCRIPT`: run finished statements the way segflow publishes its own.

Each runs in a transaction of its own, on a copy of the file that takes its place at the end.
"""

import os
import shutil
import sys
from pathlib import Path

import duckdb

ATTACHED_AS = "STORAGE_VERSION 'v1.4.0', RECOVERY_MODE no_wal_writes"


def attached(path: Path, options: str) -> duckdb.DuckDBPyConnection:
    """A database in memory with the file attached as `db`."""
    connection = duckdb.connect(":memory:")
    connection.execute(f"attach '{path}' as db ({options})")
    connection.execute("use db")
    return connection


def publish(connection: duckdb.DuckDBPyConnection, copy: Path, path: Path) -> None:
    """Close the copy and put it in the place of the file."""
    connection.execute("checkpoint db")
    connection.execute("use memory")
    connection.execute("detach db")
    connection.close()
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.replace(path)


def main(path: Path, script: Path) -> None:
    """Run the statements of a script; a blank line of a statement is no end, `;` is."""
    copy = path.with_name(f"{path.name}.copy")
    if path.exists():
        shutil.copyfile(path, copy)
    connection = attached(copy, ATTACHED_AS)
    for statement in script.read_text("utf-8").split(";\n"):
        connection.execute("begin")
        connection.execute(statement)
        connection.execute("commit")
    publish(connection, copy, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
