"""Every error that segflow raises on purpose: what is wrong, where, and what to do.

SegflowError
├── ProjectError      exit 2: the project or the command is wrong; nothing was started
├── WorkspaceError    exit 2: the project's files or database cannot be worked on now
└── StepError         exit 1: one step of a run failed; what depends on it is held back
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct


class Location(Struct, frozen=True):
    """A place in a file of the project; `line` counts from 1, None means the whole file."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        path = self.path
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"{path}:{self.line}" if self.line else str(path)


class SegflowError(Exception):
    """What is wrong (`message`), where (`location`) and what to do about it (`hint`)."""

    exit_code = 1

    def __init__(self, message: str, location: Location | None = None, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.location = location
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"


class ProjectError(SegflowError):
    """The project or the command is wrong; nothing was started."""

    exit_code = 2


class WorkspaceError(SegflowError):
    """The lock is held, or the database cannot be opened; nothing was started."""

    exit_code = 2


class StepError(SegflowError):
    """One step of a run failed."""


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """A hint naming the nearest of `names`, or None where nothing is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else None
