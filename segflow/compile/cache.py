"""Facts kept from one command to the next, keyed on everything they follow from; never ASTs."""

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from segflow import __version__

T = TypeVar("T")


class Cache:
    """Values by content: what went into a value is its key, so nothing in it can be stale."""

    def __init__(self, path: Path):
        self._path = path
        self._salt = f"{__version__} {version('sqlglot')} {version('jinja2')}"
        self._new: dict[bytes, bytes] = {}
        try:
            self._old = msgspec.msgpack.decode(path.read_bytes(), type=dict[bytes, bytes])
        except (OSError, msgspec.DecodeError):
            self._old = {}

    def get(self, parts: list[Any], shape: type[T], make: Callable[[], T]) -> T:
        """The value that follows from `parts`: kept, else made now."""
        key = hashlib.blake2b(
            msgspec.msgpack.encode([self._salt, *parts], enc_hook=str), digest_size=16
        ).digest()
        raw = self._old.get(key)
        if raw is not None:
            self._new[key] = raw
            return msgspec.msgpack.decode(raw, type=shape)
        value = make()
        self._new[key] = msgspec.msgpack.encode(value, enc_hook=str)
        return value

    def save(self) -> None:
        """Keep what this command used; a command that is cut short keeps nothing."""
        if self._new.keys() == self._old.keys():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        scratch.write_bytes(msgspec.msgpack.encode(self._new))
        scratch.replace(self._path)
