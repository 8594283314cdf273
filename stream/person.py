"""A person as the profile stage holds one: the parts, the clock, and what is under way while parts move."""

from collections import deque
from collections.abc import Container
from typing import Any

import msgspec

from profiles.facts import Facts
from profiles.part import Part
from schemas.event import Event
from schemas.settings import Settings
from triggers.instances import NEVER


class MoveItem(msgspec.Struct):
    """This person's share of one `PartChange`: the parts that leave, and those that come with where from."""

    step: int
    at_ms: int
    outs: list[tuple[str, str]]
    ins: list[tuple[str, str | None]]


class Person:
    """One person at a partition.

    `members` are the keys of the parts by the commands read so far; `parts` those really held. They differ only while
    parts travel, and then the person is frozen: events and commands wait in `queue` until the parts of `wait` are in.
    `clock_ms` is the latest instant the person has reached. `checks` says for each rule when it is to be looked at,
    `wake_ms` is the earliest of them.
    """

    __slots__ = ("_facts", "checks", "clock_ms", "members", "one_id", "parts", "queue", "touched", "wait", "wake_ms")

    def __init__(self, one_id: str) -> None:
        self.one_id = one_id
        self.parts: dict[str, Part] = {}
        self.members: Container[str] = self.parts
        self.queue: deque[Event | MoveItem] | None = None
        self.wait: tuple[int, set[str]] | None = None
        self.clock_ms = 0
        self.checks: list[int] = []
        self.wake_ms = NEVER
        self.touched = True
        self._facts: Facts | None = None

    def facts(self, settings: Settings) -> Facts:
        """Return the merge of the parts held, made once until `parts_changed`."""
        if self._facts is None:
            self._facts = Facts([self.parts[key] for key in sorted(self.parts)], settings)
        return self._facts

    def parts_changed(self) -> None:
        """Forget the merge: a part came or left."""
        self._facts = None

    def moving_members(self) -> set[str]:
        """Return the members as a set of their own, to be changed ahead of the parts."""
        if not isinstance(self.members, set):
            self.members = set(self.parts)
        return self.members

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way, so that the parts say all."""
        return self.queue is None and self.wait is None and self.members is self.parts

    def settle(self) -> None:
        """Let members and parts be one again, once nothing is under way."""
        if isinstance(self.members, set) and not self.queue and self.wait is None:
            self.members = self.parts
            self.queue = None


class PersonAtRest(msgspec.Struct, array_like=True, gc=False):
    """The stored form of a person with nothing under way."""

    clock_ms: int
    checks: list[int | None]
    parts: list[Part]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PersonAtRest)


def freeze(person: Person) -> bytes:
    """Return the person as bytes; only for one with nothing under way."""
    checks = [None if check_ms == NEVER else check_ms for check_ms in person.checks]
    return _encoder.encode(PersonAtRest(person.clock_ms, checks, list(person.parts.values())))


def thaw(one_id: str, stored: bytes) -> Person:
    """Return the person that `freeze` stored."""
    rest: Any = _decoder.decode(stored)
    person = Person(one_id)
    person.clock_ms = rest.clock_ms
    person.checks = [NEVER if check_ms is None else check_ms for check_ms in rest.checks]
    person.wake_ms = min(person.checks, default=NEVER)
    for part in rest.parts:
        person.parts[part.key] = part
    return person
