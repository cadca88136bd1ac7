"""Events in, lines of `target/segflow.log` out: what ran when, for whoever looks afterwards."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from segflow.build.plan import Plan, Step
from segflow.build.runner import Result, Watch


class Log:
    """Appends one line per event, from the moment a run has started. Times are UTC."""

    def __init__(self, path: Path, command: str):
        self._path, self._command = path, command
        self._file: TextIO | None = None

    def also(self, watch: Watch) -> Watch:
        """`watch`, and the log."""

        def both(event: Plan | Step | Result) -> None:
            if isinstance(event, Plan):
                self._write(f"segflow {self._command}: {len(event.steps)} steps")
            elif isinstance(event, Result):
                message = f": {event.message}" if event.message else ""
                self._write(f"{event.status} {event.node} {event.seconds:.3f} s{message}")
            watch(event)

        return both

    def _write(self, text: str) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
        moment = datetime.now(UTC)
        self._file.write(f"{moment:%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._file.flush()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
