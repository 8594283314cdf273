"""The latest state of every person in one scratch file, for a job that reads the changelog once and people many times.

A store with timers would be the wrong tool: nothing is changed here, and the file is thrown away. An index of 200 bytes
a person says where in the file each one is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from stream.person import Person, thaw

SLACK_BYTES = 256 << 20
"""Outdated states that the file may hold beyond as much as there are current ones."""

_SIZE_BITS = 32


class PeopleFile:
    """People at rest. `put` all states first, then read."""

    def __init__(self, path: Path, slack_bytes: int = SLACK_BYTES) -> None:
        self._path = path
        self._slack = slack_bytes
        self._file = path.open("w+b", buffering=1 << 20)
        self._at: dict[str, int] = {}
        self._end = 0
        self._live = 0

    def put(self, one_id: str, state: bytes | None) -> None:
        """Store a person's state in place of an earlier one; None: the person is no more."""
        former = self._at.pop(one_id, None)
        if former is not None:
            self._live -= former & ((1 << _SIZE_BITS) - 1)
        if state is None:
            return
        size = len(state)
        self._at[one_id] = self._end << _SIZE_BITS | size
        self._file.write(state)
        self._end += size
        self._live += size
        if self._end > 2 * self._live + self._slack:
            self._compact()

    def peek(self, one_id: str) -> Person | None:
        """Return a person, None if there is none of that OneID."""
        place = self._at.get(one_id)
        return None if place is None else thaw(one_id, self._state(place))

    def each(self) -> Iterator[Person]:
        """Yield everybody, in the order of the file."""
        for one_id, place in sorted(self._at.items(), key=lambda item: item[1]):
            yield thaw(one_id, self._state(place))

    def __contains__(self, one_id: str) -> bool:
        return one_id in self._at

    def __len__(self) -> int:
        return len(self._at)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _state(self, place: int) -> bytes:
        self._file.flush()  # costs next to nothing when there is nothing to write
        return os.pread(self._file.fileno(), place & ((1 << _SIZE_BITS) - 1), place >> _SIZE_BITS)

    def _compact(self) -> None:
        """Copy the current states to a fresh file."""
        path = self._path.with_suffix(".new")
        end = 0
        with self._file:
            fresh = path.open("w+b", buffering=1 << 20)
            for one_id, place in sorted(self._at.items(), key=lambda item: item[1]):
                state = self._state(place)
                fresh.write(state)
                self._at[one_id] = end << _SIZE_BITS | len(state)
                end += len(state)
        self._file = fresh
        self._end = self._live = end
        path.replace(self._path)
