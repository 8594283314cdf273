"""Dead letters read back, and sent again to where they came from.

What was sent again is remembered as offsets in Kafka, one for each reason (a consumer group without members), so that
letters of one reason can be sent without those of another. It is remembered after they are delivered: who is
interrupted sends some of them twice, and an event's id lets it count once.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple, get_args

import msgspec
from confluent_kafka import KafkaError, KafkaException

from schemas.contract import FAMILIES
from schemas.errors import Reason, StateError
from schemas.event import Source
from schemas.topics import MAX_MESSAGE_BYTES
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection
from stream.dead_letters import TOPIC, DeadLetter, decode
from stream.originals import Originals
from stream.reading import Span, read, spans

log = logging.getLogger(__name__)

REASONS: tuple[str, ...] = get_args(Reason)
SOURCES = frozenset((*(f"events.{family}" for family in FAMILIES), "control.commands"))
"""Topics to which letters can be sent again."""

FLUSH_S = 60.0
"""Seconds within which what was sent must be delivered."""


class Letter(NamedTuple):
    """A dead letter and where it stands: partition and offset of the dead letters' topic, time, the origin's key."""

    place: Place
    offset: int
    time_ms: int
    key: bytes | None
    letter: DeadLetter


class Redriven(msgspec.Struct):
    """What was sent again by topic, and what was left by why: `sent before`, `no such topic`, `cut` (only its
    beginning is kept, here and in its topic).
    """

    sent: Counter[str] = msgspec.field(default_factory=Counter)
    left: Counter[str] = msgspec.field(default_factory=Counter)


def letters(
    connection: Connection, reasons: Set[str] = frozenset(REASONS), since_ms: int | None = None
) -> Iterator[Letter]:
    """Yield the dead letters that are there now, in order. Raises TransientError; StateError without the topic."""
    parts = spans(connection, [TOPIC])
    if since_ms is not None:
        begins = Broker(connection).since(parts, since_ms)
        parts = {
            place: Span(begin if begin >= 0 else parts[place].end, parts[place].end) for place, begin in begins.items()
        }
    yield from _read(connection, parts, reasons)


def _read(connection: Connection, parts: Mapping[Place, Span], reasons: Set[str]) -> Iterator[Letter]:
    for messages in read(connection, parts):
        for message in messages:
            place, offset = (str(message.topic()), int(message.partition() or 0)), int(message.offset() or 0)
            try:
                letter = decode(message.value() or b"")
            except msgspec.MsgspecError:
                log.warning("%s [%d] at %d is no dead letter", *place, offset)
                continue
            if letter.reason in reasons:
                key = message.key()
                key = key.encode() if isinstance(key, str) else key
                yield Letter(place, offset, message.timestamp()[1], key, letter)


def redrive(
    connection: Connection,
    reasons: Set[str] = frozenset(REASONS),
    offsets: Set[int] = frozenset(),
    *,
    again: bool = False,
    dry_run: bool = False,
) -> Redriven:
    """Send dead letters to the topics they came from, with their keys and bytes, and return the counts.

    Those of `reasons` that were not sent before (with `again`: all), or just those at `offsets`, sent before or not.
    A `dry_run` only counts. Raises TransientError if Kafka cannot be reached, StateError if one is not delivered.
    """
    broker = Broker(connection)
    parts = spans(connection, [TOPIC])
    known = (
        {} if again or offsets else {reason: broker.committed(_group(connection, reason), parts) for reason in reasons}
    )
    there = broker.topics()
    done = Redriven()
    failures: list[str] = []
    producer = connection.producer(message_max_bytes=MAX_MESSAGE_BYTES, delivery_report_only_error=True)

    def undelivered(error: KafkaError | None, message: object) -> None:
        if error is not None:
            failures.append(error.str())

    for each in _read(connection, parts, reasons):
        if offsets and each.offset not in offsets:
            continue
        why = _kept_back(each, connection, there, known)
        if why is not None:
            done.left[why] += 1
            continue
        value = _whole(each, connection)
        if value is None:
            done.left["cut"] += 1
            continue
        done.sent[each.letter.source] += 1
        if dry_run:
            continue
        name = connection.topic(each.letter.source)
        while True:
            try:
                producer.produce(name, value, each.key, on_delivery=undelivered)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                failures.append(error.args[0].str())
                break
            else:
                break
        producer.poll(0)
    waiting = producer.flush(FLUSH_S)
    if failures or waiting:
        why = failures[0] if failures else f"{waiting:,} after {FLUSH_S:.0f} s"
        raise StateError(
            f"not all dead letters were delivered ({why}): none is remembered as sent, send them once more"
        )
    if not dry_run and not offsets:
        for reason in reasons:
            broker.commit(_group(connection, reason), {place: span.end for place, span in parts.items()})
    broker.close()
    return done


def _kept_back(
    each: Letter, connection: Connection, there: Mapping[str, int], known: Mapping[str, Mapping[Place, int]]
) -> str | None:
    if each.letter.source not in SOURCES or connection.topic(each.letter.source) not in there:
        return "no such topic"
    return "sent before" if each.offset < known.get(each.letter.reason, {}).get(each.place, 0) else None


def _whole(each: Letter, connection: Connection) -> bytes | None:
    """Return the original's bytes; of a letter that holds only the beginning as long as Kafka keeps the original."""
    letter = each.letter
    if letter.size is None:
        return letter.raw
    spot = Source(connection.topic(letter.source), letter.partition, letter.offset, 0, 0)
    found = Originals(connection).fetch([spot]).get((spot.topic, spot.partition, spot.offset))
    return None if found is None or len(found[1]) != letter.size else found[1]


def _group(connection: Connection, reason: str) -> str:
    return connection.group(f"redrive.{reason}")
