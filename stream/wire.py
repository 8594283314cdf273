"""How the messages of the stages are written to Kafka and read back: JSON, told apart by their first field.

Everything on `identity.requests` and `events.identified` goes through here. An event's `data` is written as accepted:
amounts in minor units, absent fields left out. `partition_of` is the one place that says where a person lives.
"""

import zlib
from typing import Any

import msgspec

from identity.changes import Move
from identity.evidence import LINKED, UNLINKED
from profiles import part as parts
from schemas.contract import CUSTOM_PREFIX, DATA_MODELS
from schemas.decode import accepted_data_struct
from schemas.event import Event, Link, Source
from stream.messages import Advance, PartChange, PartTransfer, Request, Routed


class EventMessage(msgspec.Struct, tag_field="message", tag="event", gc=False):
    """An event: on `events.identified` with the person it is addressed to, on `identity.requests` without."""

    id: str
    type: str
    time_ms: int
    idents: tuple[str, ...]
    data: msgspec.Raw
    source: Source | None = None
    one_id: str | None = None


class ChangeMessage(msgspec.Struct, tag_field="message", tag="change"):
    """A decision of the resolver."""

    step: int
    at_ms: int
    moves: list[Move]


class PartMessage(msgspec.Struct, tag_field="message", tag="part"):
    """A part on its way to another person; `state` is its msgpack, in base64."""

    step: int
    one_id: str
    state: bytes


class ClockMessage(msgspec.Struct, tag_field="message", tag="clock"):
    """The clock of a backfill goes on."""

    to_ms: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventMessage | ChangeMessage | PartMessage | ClockMessage).decode
_any = msgspec.json.Decoder().decode
_READ: dict[str, Any] = {
    name: msgspec.json.Decoder(accepted_data_struct(name)).decode
    for name in DATA_MODELS
    if not name.startswith(CUSTOM_PREFIX)
}
_READ[LINKED] = _READ[UNLINKED] = msgspec.json.Decoder(Link).decode


def partition_of(one_id: str, partitions: int) -> int:
    """Return the partition in which a person lives."""
    return zlib.crc32(one_id.encode()) % partitions


def digest(data: bytes) -> int:
    """Return 20 bits of an event's content, never 0, for telling a duplicate from another event with its id."""
    return (zlib.crc32(data) & 0xFFFFF) or 1


def encode_data(event: Event) -> bytes:
    """Return an event's data as it stands in messages."""
    return _encode(event.data)


def decode_data(event_type: str, data: bytes) -> Any:
    """Return an event's data from what `encode_data` made of it."""
    return _READ.get(event_type, _any)(data)


def encode_event(event: Event, one_id: str | None, data: bytes | None = None) -> bytes:
    """Return an event as bytes; `one_id` is its address, None on the way to the resolver."""
    raw = msgspec.Raw(_encode(event.data) if data is None else data)
    return _encode(EventMessage(event.id, event.type, event.time_ms, event.idents, raw, event.source, one_id))


def encode(message: Routed | Request | PartChange | PartTransfer | Advance) -> bytes:
    """Return a message as bytes."""
    match message:
        case Routed():
            return encode_event(message.event, message.one_id)
        case Request():
            return encode_event(message.event, None)
        case PartChange():
            return _encode(ChangeMessage(message.step, message.at_ms, message.moves))
        case PartTransfer():
            return _encode(PartMessage(message.step, message.one_id, parts.encode(message.part)))
        case Advance():
            return _encode(ClockMessage(message.to_ms))


def decode(value: bytes) -> Routed | Request | PartChange | PartTransfer | Advance:
    """Return the message that `encode` wrote. Raises msgspec.MsgspecError for anything else."""
    message = _decode(value)
    if type(message) is EventMessage:
        read = _READ.get(message.type, _any)
        event = Event(message.id, message.type, message.time_ms, message.idents, read(message.data), message.source)
        return Request(event) if message.one_id is None else Routed(message.one_id, event)
    match message:
        case ChangeMessage():
            return PartChange(message.step, message.at_ms, message.moves)
        case PartMessage():
            return PartTransfer(message.step, message.one_id, parts.decode(message.state))
        case _:
            return Advance(message.to_ms)


def ends(change: PartChange) -> set[str]:
    """Return the people that a change concerns."""
    return {end for move in change.moves for end in (move.from_one_id, move.to_one_id) if end is not None}
