"""Events in, lines of `target/segflow.log` out: what ran when, for whoever looks afterwards."""

from datetime import UTC, datetime
from pathlib import Path

from segflow.build.plan import Plan, Step
from segflow.build.runner import Result, Watch


class Log:
    """Appends one line per event. Times are UTC."""

    def __init__(self, path: Path, command: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._write(f"segflow {command}")

    def also(self, watch: Watch) -> Watch:
        """`watch`, and the log."""

        def both(event: Plan | Step | Result) -> None:
            if isinstance(event, Result):
                message = f": {event.message}" if event.message else ""
                self._write(f"{event.status} {event.node} {event.seconds:.3f} s{message}")
            watch(event)

        return both

    def _write(self, text: str) -> None:
        moment = datetime.now(UTC)
        self._file.write(f"{moment:%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._file.flush()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
