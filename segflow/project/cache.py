"""Facts kept from one command to the next, keyed on everything they follow from; never ASTs."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from segflow import __version__

T = TypeVar("T")

_DIGEST = 16


class Cache:
    """Values by content: what went into a value is its key, so nothing in it can be stale."""

    def __init__(self, path: Path):
        self._path = path
        self._salt = f"{__version__} {_code_state()}"
        self._new: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        # A file that was cut short or changed by others counts as none.
        with contextlib.suppress(OSError, msgspec.DecodeError):
            raw = path.read_bytes()
            if _digest(raw[_DIGEST:]) == raw[:_DIGEST]:
                self._old = msgspec.msgpack.decode(raw[_DIGEST:], type=dict[bytes, bytes])

    def get(self, parts: list[Any], shape: type[T], make: Callable[[], T]) -> T:
        """The value that follows from `parts`: kept, else made now; it is the same either way."""
        key = _digest(msgspec.msgpack.encode([self._salt, *parts], enc_hook=str))
        raw = self._new.get(key) or self._old.get(key)
        if raw is None:
            raw = msgspec.msgpack.encode(make(), enc_hook=str)
        self._new[key] = raw
        return msgspec.msgpack.decode(raw, type=shape)

    def save(self) -> None:
        """Keep what this command used; one that is cut short, or has no room, keeps nothing."""
        if self._new.keys() == self._old.keys():
            return
        scratch = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        body = msgspec.msgpack.encode(self._new)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.write_bytes(_digest(body) + body)
                scratch.replace(self._path)
            finally:
                scratch.unlink(missing_ok=True)


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=_DIGEST).digest()


def _code_state() -> str:
    """Changes whenever the code does that facts come from, also where it is edited in place."""
    package = Path(__file__).parent.parent
    files = [file for room in ("project", "compile") for file in (package / room).glob("*.py")]
    for name in ("sqlglot", "jinja2"):
        # Asking for the version would load more than all the rest of an unchanged project.
        spec = find_spec(name)
        files += [Path(spec.origin)] if spec and spec.origin else []
    return state_of(files)


def state_of(files: Iterable[Path]) -> str:
    """Changes when a file does, comes or goes; a look at each of them is enough."""
    states = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(files)]
    return _digest(repr(states).encode()).hex()
