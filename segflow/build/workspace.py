"""The lock beside the database: one run at a time, and whoever comes second learns who holds it."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from segflow.errors import WorkspaceError


@contextlib.contextmanager
def locked(database: Path, command: str) -> Iterator[None]:
    """Hold the lock of a database. The kernel frees it when the process ends, however it ends.

    Raises:
        WorkspaceError: another process holds it.
    """
    path = database.with_name(f"{database.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise WorkspaceError(f"cannot write to {path.parent}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise WorkspaceError(
                f"{database} is being built by {holder}",
                hint="wait for it to end; readers need not wait",
            ) from None
        file.truncate(0)
        file.write(f"`segflow {command}`, process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
