"""`python -m benchmarks.record SCRIPT ARGUMENT…`: a segflow command, its statements written down.

The script is what `plain.py` replays: a line of JSON per event, in the order they happened.
"""

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from segflow.cli.main import main
from segflow.engines import duckdb as engine
from segflow.engines.base import Row

# Files that a replay writes go beside those of the command.
FOLDERS = ("/exports/", "/exports_plain/")


def record(script: TextIO) -> None:
    """Let every session of the engine write down what it does."""

    def note(*event: Any) -> None:
        script.write(json.dumps(event) + "\n")

    class Session(engine.DuckDBSession):
        def rows(self, sql: str) -> list[Row]:
            note("execute", id(self._cursor), sql.replace(*FOLDERS))
            return super().rows(sql)

    class Engine(engine.DuckDB):
        def commit_run(self) -> None:
            note("publish")
            super().commit_run()

    engine.DuckDBSession = Session  # type: ignore[misc]
    engine.DuckDB = Engine  # type: ignore[misc]


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        record(file)
        sys.argv = ["segflow", *sys.argv[2:]]
        main()
