"""From messages to rows: what each topic's messages become in the tables of the lake.

A message that cannot be read becomes a row of `deadletters` with the reason `failed`, so that nothing is lost.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from lake import lake_tables as tables
from lake.lake_tables import LakeTable
from lake.profile_table import PROFILES
from profiles.derive import TIMES
from schemas.event import Source

DAY_MS = 86_400_000
Row = tuple[Any, ...]


class Read(NamedTuple):
    """A message as it was read: where it stood, when it was written (epoch ms), key and value."""

    offset: int
    written_ms: int
    key: bytes | None
    value: bytes | None


class Found(NamedTuple):
    """What a message became: a row of a table, without the place."""

    table: LakeTable
    row: Row


class _Event(msgspec.Struct, tag_field="message", tag="event", gc=False):
    id: str
    type: str
    time_ms: int
    idents: list[str]
    data: msgspec.Raw
    source: Source | None = None
    one_id: str | None = None


class _Change(msgspec.Struct, tag_field="message", tag="change", gc=False):
    step: int


class _Part(msgspec.Struct, tag_field="message", tag="part", gc=False):
    one_id: str


class _Clock(msgspec.Struct, tag_field="message", tag="clock", gc=False):
    to_ms: int


class _Trigger(msgspec.Struct, gc=False):
    trigger_id: str
    rule: str
    rule_version: int
    one_id: str
    identifiers: list[str]
    instance: str | None
    anchor_event_id: str
    anchor_ms: int
    part: str
    due_ms: int
    decided_ms: int
    fired_ms: int | None
    outcome: str
    reason: str | None
    purpose: str
    channels: list[str]
    payload: msgspec.Raw


class _Tag(msgspec.Struct, gc=False):
    one_id: str
    segment: str
    change: str
    at_ms: int
    rule: str
    rule_version: int
    evidence: list[str]


class _Identity(msgspec.Struct, gc=False):
    change: str
    one_id: str
    other_one_id: str | None
    reason: str | None
    at_ms: int
    evidence_event_id: str


class _DeadLetter(msgspec.Struct, gc=False):
    reason: str
    detail: str
    source: str
    partition: int
    offset: int
    raw: str


class _Reason(msgspec.Struct, gc=False):
    name: str
    rule: str
    version: int
    facts: dict[str, Any]
    since: datetime | None = None


_SHOWN = tuple(column.name for column in PROFILES.columns[1:])
"""The columns of a profile; the last one holds the reasons of the tags, which a message has in the tags themselves."""

_Profile = msgspec.defstruct(
    "_Profile",
    [
        ("one_id", str | None, None),
        ("identifiers", list[str], msgspec.field(default_factory=list)),
        *(
            (
                name,
                list[_Reason] if name == "tags" else datetime | None if name in TIMES else Any,
                msgspec.field(default_factory=list) if name == "tags" else None,
            )
            for name in _SHOWN
            if name != "tag_reasons"
        ),
    ],
    gc=False,
)

_said = msgspec.json.Decoder(_Event | _Change | _Part | _Clock).decode
_request = msgspec.json.Decoder(_Event).decode
_trigger = msgspec.json.Decoder(_Trigger).decode
_tag = msgspec.json.Decoder(_Tag).decode
_identity = msgspec.json.Decoder(_Identity).decode
_letter = msgspec.json.Decoder(_DeadLetter).decode
_profile = msgspec.json.Decoder(_Profile).decode
_encode = msgspec.json.Encoder().encode


def _event_row(said: _Event, bare: Callable[[str], str]) -> Found:
    source = said.source
    where: Row = (None, None, None, None)
    if source is not None:
        where = (bare(source.topic), source.partition, source.offset, source.arrived_ms)
    part = said.idents[0] if said.idents else None
    row = (said.id, said.type, said.time_ms, said.one_id, part, said.idents, bytes(said.data).decode(), *where)
    return Found(tables.EVENTS, row)


def _identified(message: Read, bare: Callable[[str], str]) -> Found | None:
    value = message.value or b""
    said = _said(value)
    if type(said) is _Event:
        return _event_row(said, bare)
    kind, one_id = "clock", None
    if type(said) is _Change:
        kind = "change"
    elif type(said) is _Part:
        kind, one_id = "part", said.one_id
    return Found(tables.COMMANDS, (kind, one_id, value))


def _requested(message: Read, bare: Callable[[str], str]) -> Found | None:
    """Only stewards' commands: they are addressed to nobody, and so stand on no other topic."""
    said = _request(message.value or b"")
    return None if said.idents else _event_row(said, bare)


def _published(message: Read, bare: Callable[[str], str]) -> Found:
    if message.value is None:
        row: list[Any] = [(message.key or b"").decode(), True, []]
        return Found(tables.PROFILE_VERSIONS, (*row, *([None] * len(_SHOWN))))
    said: Any = _profile(message.value)
    row = [said.one_id, False, said.identifiers]
    for name in _SHOWN[:-1]:
        row.append(getattr(said, name))
    reasons = said.tags
    row[3 + _SHOWN.index("tags")] = [reason.name for reason in reasons]
    carts = 3 + _SHOWN.index("carts")
    if row[carts]:
        row[carts] = [{**cart, "changed_at": datetime.fromisoformat(cart["changed_at"])} for cart in row[carts]]
    row.append(_encode([_reason(reason) for reason in reasons]).decode())
    return Found(tables.PROFILE_VERSIONS, tuple(row))


def _reason(reason: _Reason) -> dict[str, Any]:
    since_ms = None if reason.since is None else (reason.since - _EPOCH) // timedelta(milliseconds=1)
    return {
        "name": reason.name,
        "rule": reason.rule,
        "version": reason.version,
        "facts": reason.facts,
        "since_ms": since_ms,
    }


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _fired(message: Read, bare: Callable[[str], str]) -> Found:
    said = _trigger(message.value or b"")
    row = (
        said.trigger_id,
        said.rule,
        said.rule_version,
        said.one_id,
        said.instance,
        said.anchor_event_id,
        said.anchor_ms,
        said.due_ms,
        said.fired_ms,
        said.outcome,
        said.reason,
        bytes(said.payload).decode(),
        said.decided_ms,
        said.part,
        said.purpose,
        said.channels,
        said.identifiers,
    )
    return Found(tables.FIRINGS, row)


def _tagged(message: Read, bare: Callable[[str], str]) -> Found:
    said = _tag(message.value or b"")
    row = (said.one_id, said.segment, said.change, said.at_ms, said.rule, said.rule_version, said.evidence)
    return Found(tables.TAG_CHANGES, row)


def _changed(message: Read, bare: Callable[[str], str]) -> Found:
    said = _identity(message.value or b"")
    row = (said.at_ms, said.change, said.one_id, said.other_one_id, said.reason, said.evidence_event_id)
    return Found(tables.CHANGES, row)


def _refused(message: Read, bare: Callable[[str], str]) -> Found:
    said = _letter(message.value or b"")
    row = (said.reason, said.detail, base64.b64decode(said.raw), said.source, said.partition, said.offset)
    return Found(tables.REFUSED, row)


def _person(message: Read, bare: Callable[[str], str]) -> Found:
    return Found(tables.STATE, (message.key, message.value))


def _fact(message: Read, bare: Callable[[str], str]) -> Found:
    return Found(tables.GRAPH, (message.key, message.value))


_READERS: dict[str, Callable[[Read, Callable[[str], str]], Found | None]] = {
    "events.identified": _identified,
    "identity.requests": _requested,
    "profiles": _published,
    "segments.changes": _tagged,
    "identity.changes": _changed,
    "events.deadletter": _refused,
    "profiles.state": _person,
    "identity.graph": _fact,
}
TOPICS = tuple(_READERS)
"""Topics that the lake takes in, by their names in the table; and all of TRIGGERS."""

TRIGGERS = "triggers."
"""How the names of the topics of firings begin."""


class Rows:
    """The rows of some messages of one partition; `bare` takes the prefix from a topic's full name."""

    def __init__(self, topic: str, partition: int, bare: Callable[[str], str]) -> None:
        self._topic = topic
        self._partition = partition
        self._bare = bare
        self._read = _fired if topic.startswith(TRIGGERS) else _READERS[topic]
        self._found: dict[tuple[str, int], list[Row]] = {}
        self.wrong: list[tuple[int, str]] = []
        """Offset and error of each message that could not be read."""

    def add(self, messages: Iterable[Read]) -> None:
        """Take in messages, the earliest first."""
        found, read, bare, topic, partition = self._found, self._read, self._bare, self._topic, self._partition
        for message in messages:
            try:
                became = read(message, bare)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, binascii.Error) as error:
                became = self._unreadable(message, str(error))
            if became is None:
                continue
            table, row = became
            rows = found.setdefault((table.name, message.written_ms // DAY_MS), [])
            rows.append((*row, topic, partition, message.offset, message.written_ms))

    def tables(self) -> Iterator[tuple[LakeTable, str, pa.Table]]:
        """Yield (table, date, rows) with the rows sorted as the table says; in a certain order."""
        for name, day in sorted(self._found):
            table = tables.BY_NAME[name]
            columns = zip(*self._found[name, day], strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, table.schema, strict=True)]
            made = pa.Table.from_arrays(arrays, schema=table.schema)
            yield table, _date(day), made.sort_by([(column, "ascending") for column in table.sorted_by])

    def _unreadable(self, message: Read, error: str) -> Found:
        self.wrong.append((message.offset, error))
        detail = f"a message of {self._topic}: {error}"
        row = ("failed", detail, message.value, self._topic, self._partition, message.offset)
        return Found(tables.REFUSED, row)


def _date(day: int) -> str:
    """Return a day since 1970 as YYYY-MM-DD."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
