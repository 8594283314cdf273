"""Everybody's latest state, with parts that travel put where they belong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from profiles import part as parts
from profiles.part import Part
from stream.people_file import PeopleFile
from stream.person import Person
from stream.store import META

CLOCK = META + b"clock"
INBOX = META + b"inbox"

_read_clock = msgspec.msgpack.Decoder(int).decode
_read_inbox = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode


def parts_in(inbox: bytes) -> list[Part]:
    """Return the parts of an inbox: they were sent before it was known why."""
    return [parts.decode(state) for _, state in _read_inbox(inbox)]


class ExportedPeople:
    """Holds the records of `profiles.state`. First `put` and `travels`, then `place`, then read.

    `clock_ms` is where the clock of a backfill stands, None where the time of day counts.
    """

    def __init__(self, path: Path) -> None:
        self._file = PeopleFile(path)
        self._inboxes: dict[int, bytes] = {}
        self._travelling: dict[str, tuple[str | None, Part]] = {}
        self._elsewhere: dict[str, dict[str, Part]] = {}
        self._away: dict[str, set[str]] = {}
        self._owned = 0
        self._parts = 0
        self._frozen = 0
        self.clock_ms: int | None = None

    def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take in a record of the topic's partition: a person, or what the stage keeps beside them."""
        if not key.startswith(META):
            self._file.put(key.decode(), value)
        elif key == INBOX:
            self._inboxes[partition] = value or b""
        elif key == CLOCK and value is not None:
            self.clock_ms = max(_read_clock(value), self.clock_ms or 0)

    def travels(self, one_id: str, part: Part) -> None:
        """Take in a part that is on its way to a person."""
        self._travelling[part.key] = (one_id, part)

    def place(self, owner: Callable[[str], str | None], owned: int, *, scattered: bool) -> None:
        """Put every part with its owner; `owned` is how many parts there must be.

        `scattered` says that commands were not read yet, so that a part may still be with who had it before.
        """
        self._owned = owned
        for inbox in filter(None, self._inboxes.values()):
            for part in parts_in(inbox):
                self._travelling[part.key] = (None, part)
        if not scattered and not self._travelling:
            return
        for person in self._file.each():
            for key, part in person.parts.items():
                towards = self._travelling.get(key)
                if towards is not None and person.one_id == (towards[0] or owner(key)):
                    del self._travelling[key]  # it has arrived since
                elif towards is not None:
                    self._away.setdefault(person.one_id, set()).add(key)  # its giver was read before it went
                elif owner(key) not in (None, person.one_id):
                    self._move(owner(key) or "", part)
                    self._away.setdefault(person.one_id, set()).add(key)
        for key, (one_id, part) in self._travelling.items():
            self._move(owner(key) or one_id or "", part)

    def peek(self, one_id: str) -> Person | None:
        """Return a person, None if there is none of that OneID."""
        person = self._file.peek(one_id)
        if person is None:
            return self._newcomer(one_id)
        return self._settled(person)

    def each(self) -> Iterator[Person]:
        """Yield everybody, and count parts and the frozen."""
        self._parts = self._frozen = 0
        for person in self._file.each():
            self._frozen += person.wait is not None
            person = self._settled(person)
            self._parts += len(person.parts)
            yield person
        for one_id in self._elsewhere:
            newcomer = None if one_id in self._file else self._newcomer(one_id)
            if newcomer is not None:
                self._parts += len(newcomer.parts)
                yield newcomer

    def under_way(self) -> dict[str, int]:
        """Return, once everybody was read: the frozen, the parts that travelled, and those found nowhere."""
        return {
            "frozen": self._frozen,
            "parts_under_way": len(self._travelling),
            "parts_not_there_yet": self._owned - self._parts,
        }

    def close(self) -> None:
        """Close the scratch file."""
        self._file.close()

    def _move(self, one_id: str, part: Part) -> None:
        self._elsewhere.setdefault(one_id, {})[part.key] = part

    def _settled(self, person: Person) -> Person:
        away, come = self._away.get(person.one_id), self._elsewhere.get(person.one_id)
        if away or come:
            for key in away or ():
                person.parts.pop(key, None)
            person.parts.update(come or {})
            person.parts_changed()
        return person

    def _newcomer(self, one_id: str) -> Person | None:
        come = self._elsewhere.get(one_id)
        if come is None:
            return None
        person = Person(one_id)
        person.parts.update(come)
        return person
