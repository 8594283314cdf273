"""Rows by key with a note of how far they go: on disk, or in memory for what needs no disk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from rocksdict import WriteBatch

from identity.archive import Shelf
from schemas.errors import StateError
from stream.database import Database

NOTE: Final = b"\0\0note"
"""The key of the note. Keys that begin with two NULs are not rows."""


class Rows(Shelf, Protocol):
    """What both kinds can do. `note` is None as long as nothing was written; its key is not among the keys."""

    note: bytes | None

    def write(self, changes: Mapping[bytes, bytes | None], note: bytes) -> None:
        """Write changes, None for gone, and the note that goes with them, as one."""

    def clear(self) -> None:
        """Remove all rows and the note."""

    def size_bytes(self) -> int:
        """Return what they take on disk."""

    def close(self) -> None:
        """Put everything on disk and let it go."""


class MemoryRows:
    """Rows in a dictionary."""

    def __init__(self) -> None:
        self.note: bytes | None = None
        self._rows: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """See `Rows`."""
        return self._rows.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Rows`."""
        return [self._rows.get(key) for key in keys]

    def __iter__(self) -> Iterator[bytes]:
        yield from sorted(self._rows)

    def write(self, changes: Mapping[bytes, bytes | None], note: bytes) -> None:
        """See `Rows`."""
        for key, value in changes.items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        self.note = note

    def condemn(self, why: str) -> StateError:
        """See `Rows`."""
        self.note = None
        return StateError(why)

    def clear(self) -> None:
        """See `Rows`."""
        self._rows.clear()
        self.note = None

    def size_bytes(self) -> int:
        """See `Rows`."""
        return 0

    def close(self) -> None:
        """See `Rows`."""


class DiskRows:
    """Rows in a `Database`, with its errors and its guarantees."""

    def __init__(self, path: Path, memory_mb: int, *, logged: bool, purpose: str) -> None:
        self._db = Database(path, memory_mb, logged=logged, purpose=purpose)
        self.note = self._db.first(NOTE)
        if self.note is None:
            self._db.empty()  # it is new, or half of it is missing
        self.get = self._db.get
        self.get_many = self._db.get_many

    def __iter__(self) -> Iterator[bytes]:
        for key, _ in self._db.range(b"\0\1", keys=True):
            yield key

    def write(self, changes: Mapping[bytes, bytes | None], note: bytes) -> None:
        """See `Rows`."""

        def fill(batch: WriteBatch) -> None:
            for key, value in changes.items():
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            batch.put(NOTE, note)

        self._db.write(fill)
        self.note = note

    def condemn(self, why: str) -> StateError:
        """See `Rows`."""
        return self._db.condemn(why)

    def clear(self) -> None:
        """See `Rows`."""
        self._db.empty()
        self.note = None

    def size_bytes(self) -> int:
        """See `Rows`."""
        return self._db.size_bytes()

    def close(self) -> None:
        """See `Rows`."""
        self._db.close()
