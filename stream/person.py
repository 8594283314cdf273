"""A person as the profile stage holds one: the parts, the clock, and what is under way while parts move."""

import struct
from collections import deque
from collections.abc import Container
from typing import Any

import msgspec

from profiles.facts import Facts
from profiles.part import Part
from schemas.errors import StateError
from schemas.event import Event
from schemas.settings import Settings
from stream.messages import Request
from stream.wire import decode, encode_event
from triggers.instances import NEVER


class MoveItem(msgspec.Struct):
    """This person's share of one `PartChange`: the parts that leave, and those that come with where from."""

    step: int
    at_ms: int
    outs: list[tuple[str, str]]
    ins: list[tuple[str, str | None]]


Entry = tuple[int, bool]
"""What the indexes say of a person: when something is due in ms, and whether the profile is yet to be published."""

ABSENT: Entry = (-1, False)
"""The entry of nobody."""


class Person:
    """One person at a partition.

    `members` are the keys of the parts by the commands read so far; `parts` those really held. They differ only while
    parts travel, and then the person is frozen: events and commands wait in `queue` until the parts of `wait` are in.
    `clock_ms` is the latest instant the person has reached. `checks` says for each rule when it is to be looked at,
    `wake_ms` is the earliest of them.

    Of the public profile: `tags` are the names last published, None before the first time, and `published_ms` is the
    instant they and the profile were as of; `refresh_ms` is when the profile changes by itself; `unpublished` says that
    it has changed since it was published.

    `touched` and `stored` belong to whoever keeps the person in memory: `stored` is the entry that the store has of
    the person, None if that is not known.
    """

    __slots__ = (
        "_facts",
        "checks",
        "clock_ms",
        "members",
        "one_id",
        "parts",
        "published_ms",
        "queue",
        "refresh_ms",
        "stored",
        "tags",
        "touched",
        "unpublished",
        "wait",
        "wake_ms",
    )

    def __init__(self, one_id: str) -> None:
        self.one_id = one_id
        self.parts: dict[str, Part] = {}
        self.members: Container[str] = self.parts
        self.queue: deque[Event | MoveItem] | None = None
        self.wait: tuple[int, set[str]] | None = None
        self.clock_ms = 0
        self.checks: list[int] = []
        self.wake_ms = NEVER
        self.tags: tuple[str, ...] | None = None
        self.published_ms = 0
        self.refresh_ms = NEVER
        self.unpublished = False
        self.touched = True
        self.stored: Entry | None = None
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

    @property
    def entry(self) -> Entry:
        """When this person is to be looked at, and whether to be published; never while parts are missing."""
        if self.wait is not None:
            return NEVER, False
        return min(self.wake_ms, self.refresh_ms), self.unpublished

    def settle(self) -> None:
        """Let members and parts be one again, once nothing is under way."""
        if isinstance(self.members, set) and not self.queue and self.wait is None:
            self.members = self.parts
            self.queue = None


# The stored form is a head that is read at fixed places, so that looking at times decodes nobody, and a body.

_HEAD = struct.Struct(">Bqqq")
"""Flags, clock, wake and refresh in ms."""

_read_head = _HEAD.unpack_from

_VERSION = 2 << 4
_UNPUBLISHED, _MOVING, _WAITING = 1, 2, 4


class _Rest(msgspec.Struct, array_like=True, gc=False):
    """The body of a person with nothing under way; a check that never comes is None."""

    checks: list[int | None]
    tags: tuple[str, ...] | None
    published_ms: int
    parts: list[Part]


class _Moving(msgspec.Struct, array_like=True, gc=False):
    """The body of a person with parts under way; an event of the queue is written as in messages."""

    checks: list[int | None]
    tags: tuple[str, ...] | None
    published_ms: int
    parts: list[Part]
    members: list[str] | None
    queue: list[MoveItem | bytes] | None
    wait: tuple[int, list[str]] | None


_encode = msgspec.msgpack.Encoder().encode
_decode_rest = msgspec.msgpack.Decoder(_Rest).decode
_decode_moving = msgspec.msgpack.Decoder(_Moving).decode


def freeze(person: Person) -> bytes:
    """Return the person as bytes: all of it, also what is under way."""
    checks = [None if check_ms == NEVER else check_ms for check_ms in person.checks]
    parts = list(person.parts.values())
    flags = _VERSION | (_UNPUBLISHED if person.unpublished else 0)
    if person.queue is None and person.wait is None and person.members is person.parts:
        body = _encode(_Rest(checks, person.tags, person.published_ms, parts))
    else:
        flags |= _MOVING if person.wait is None else _MOVING | _WAITING
        body = _encode(_moving(person, checks, parts))
    return _HEAD.pack(flags, person.clock_ms, person.wake_ms, person.refresh_ms) + body


def _moving(person: Person, checks: list[int | None], parts: list[Part]) -> _Moving:
    members, queue, wait = person.members, person.queue, person.wait
    return _Moving(
        checks,
        person.tags,
        person.published_ms,
        parts,
        sorted(members) if isinstance(members, set) else None,
        None if queue is None else [encode_event(item, None) if isinstance(item, Event) else item for item in queue],
        None if wait is None else (wait[0], sorted(wait[1])),
    )


def thaw(one_id: str, stored: bytes) -> Person:
    """Return the person that `freeze` stored. Raises StateError if this is not its writing."""
    flags, clock_ms, wake_ms, refresh_ms = _head(stored)
    person = Person(one_id)
    person.clock_ms = clock_ms
    person.wake_ms = wake_ms
    person.refresh_ms = refresh_ms
    person.unpublished = bool(flags & _UNPUBLISHED)
    try:
        body: Any
        if flags & _MOVING:
            body = _decode_moving(memoryview(stored)[_HEAD.size :])
        else:
            body = _decode_rest(memoryview(stored)[_HEAD.size :])
    except msgspec.MsgspecError as error:
        raise StateError(f"the stored state of {one_id} cannot be read ({error}): wipe the store") from None
    person.checks = [NEVER if check_ms is None else check_ms for check_ms in body.checks]
    person.tags = body.tags
    person.published_ms = body.published_ms
    parts = person.parts
    for part in body.parts:
        parts[part.key] = part
    if flags & _MOVING:
        if body.members is not None:
            person.members = set(body.members)
        if body.queue is not None:
            person.queue = deque(_event(item) if isinstance(item, bytes) else item for item in body.queue)
        if body.wait is not None:
            person.wait = (body.wait[0], set(body.wait[1]))
    return person


def entry_of(stored: bytes) -> Entry:
    """Return the entry of a stored person without decoding it. Raises StateError as `thaw` does."""
    flags, _, wake_ms, refresh_ms = _head(stored)
    if flags & _WAITING:
        return NEVER, False
    return wake_ms if wake_ms < refresh_ms else refresh_ms, flags & _UNPUBLISHED != 0


def clock_of(stored: bytes) -> int:
    """Return the clock of a stored person in ms without decoding it."""
    return _head(stored)[1]


def _head(stored: bytes) -> tuple[int, int, int, int]:
    try:
        head: tuple[int, int, int, int] = _read_head(stored)
    except struct.error:
        head = (0, 0, 0, 0)
    if head[0] & 0xF0 != _VERSION:
        raise StateError("a stored person is of another version of Kith: wipe the store and the topic profiles.state")
    return head


def _event(value: bytes) -> Event:
    message = decode(value)
    if not isinstance(message, Request):
        raise StateError("the queue of a stored person holds something that is no event: wipe the store")
    return message.event
