"""Reading topics from a place up to what was committed when the reading began, without a group and without a trace.

`spans` asks once where every partition begins and ends; `read` gives what lies between. A reader that is handed the
spans of several topics, asked for together, sees them as of about one instant, whatever is written meanwhile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.errors import StateError, TransientError
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection

Progress = Callable[[int, int], None]
"""Called with how many offsets are done, and how many there are in all."""

BATCH = 10_000
"""Messages fetched from librdkafka's queue at once."""

SILENCE_S = 60.0
"""Seconds without any message or end of a partition after which the reading is given up."""


class Span(NamedTuple):
    """Offsets of a partition: from `begin`, inclusive, to `end`, exclusive. Not every one need be a message."""

    begin: int
    end: int


def partitions_of(broker: Broker, connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has, by its name in the table.

    Raises TransientError if Kafka does not answer, StateError naming the topics that do not exist.
    """
    known = broker.topics()
    missing = [connection.topic(name) for name in names if connection.topic(name) not in known]
    if missing:
        raise StateError(f"there is no topic {', '.join(missing)} in Kafka: `kith topics create` makes it")
    return {name: known[connection.topic(name)] for name in names}


def spans(connection: Connection, names: Sequence[str]) -> dict[Place, Span]:
    """Return of every partition of the topics (names in the table) what is there, and is committed, now.

    Raises TransientError if Kafka does not answer, StateError naming the topics that do not exist.
    """
    broker = Broker(connection)
    counts = partitions_of(broker, connection, names)
    places = [(connection.topic(name), partition) for name, count in counts.items() for partition in range(count)]
    begins = broker.beginnings(places)
    ends = broker.ends(places)
    return {place: Span(begins[place], max(begins[place], ends[place])) for place in places}


def settle(connection: Connection, names: Sequence[str], at_most_s: float) -> bool:
    """Wait for an instant at which no transaction is open on the topics; return whether there was one in that time.

    A commit is told to its producer somewhat before all partitions show it.
    """
    broker = Broker(connection)
    counts = partitions_of(broker, connection, names)
    places = [(connection.topic(name), partition) for name, count in counts.items() for partition in range(count)]
    deadline = time.monotonic() + at_most_s
    while broker.ends(places, committed_only=False) != broker.ends(places):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def read(
    connection: Connection, parts: Mapping[Place, Span], report: Progress = lambda done, total: None
) -> Iterator[list[Message]]:
    """Yield the committed messages of the spans, in lists; of one partition in order, all partitions mixed.

    No message is an error. Raises TransientError if Kafka falls silent, StateError if a topic went.
    """
    left = {place: span for place, span in parts.items() if span.end > span.begin}
    total = sum(span.end - span.begin for span in left.values())
    if not left:
        report(total, total)
        return
    consumer = connection.reader(queued_max_messages_kbytes=65_536, fetch_max_bytes=16 << 20)
    try:
        consumer.assign([TopicPartition(*place, span.begin) for place, span in left.items()])
        reached = {place: span.begin for place, span in left.items()}
        heard = time.monotonic()
        while left:
            found = consumer.consume(1, 0.5)  # for more than there are it would wait out the time
            if found:
                found += consumer.consume(BATCH - 1, 0)
                heard = time.monotonic()
                messages = _within(consumer, found, left, reached)
                report(sum(reached.values()) - sum(parts[place].begin for place in reached), total)
                if messages:
                    yield messages
                    heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                topics = ", ".join(sorted({topic for topic, _ in left}))
                raise TransientError(
                    f"Kafka at {connection.settings.brokers} says nothing about {topics} for {SILENCE_S:.0f} s"
                )
    finally:
        consumer.close()


def read_topics(
    connection: Connection, names: Sequence[str], report: Progress = lambda done, total: None
) -> Iterator[list[Message]]:
    """Yield the messages of whole topics (names in the table), up to what is committed now; as `read`."""
    yield from read(connection, spans(connection, names), report)


def read_from(
    connection: Connection, starts: Mapping[Place, int], report: Progress = lambda done, total: None
) -> Iterator[list[Message]]:
    """Yield the messages of partitions from an offset on (0: the beginning), up to what is committed now; as `read`."""
    ends = Broker(connection).ends(starts)
    parts = {place: Span(begin, max(begin, ends[place])) for place, begin in starts.items()}
    yield from read(connection, parts, report)


def _within(
    consumer: Consumer, found: list[Message], left: dict[Place, Span], reached: dict[Place, int]
) -> list[Message]:
    """Return the messages before their partition's end; partitions that have come to it leave `left`."""
    messages = []
    ended: list[TopicPartition] = []
    for message in found:
        error = message.error()
        place = (str(message.topic()), int(message.partition() or 0))
        span = left.get(place)
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            _check(error)
        elif span is None:
            continue  # fetched ahead
        else:
            offset = int(message.offset() or 0)
            if error is None and offset < span.end:
                messages.append(message)
                reached[place] = offset + 1
                if offset + 1 < span.end:
                    continue
            # The end of what is committed can lie beyond the last message, behind marks of transactions; then the
            # next message or the end of the partition, whichever comes, tells that nothing is missing.
            reached[place] = span.end
            del left[place]
            ended.append(TopicPartition(*place))
    if ended and left:
        consumer.pause(ended)
    return messages


def _check(error: KafkaError) -> None:
    """Raise what reading cannot go on after; librdkafka goes on after all else by itself."""
    text = error.str()
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        raise StateError(f"a topic went while it was read ({text}): look at `kith topics check`")
    if error.fatal() or error.code() in (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
    ):
        raise TransientError(f"Kafka cannot be read: {text}")
