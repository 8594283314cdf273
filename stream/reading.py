"""Reading topics from a place up to what was committed when the reading began, without a group and without a trace.

`spans` asks once where every partition begins and ends; `read` gives what lies between. A reader that is handed the
spans of several topics, asked for together, sees them as of about one instant, whatever is written meanwhile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from schemas.errors import StateError, TransientError
from stream.connection import Connection

Place = tuple[str, int]
"""A topic's full name and a partition."""

Progress = Callable[[int, int], None]
"""Called with how many offsets are done, and how many there are in all."""

EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]

BATCH = 10_000
"""Messages fetched from librdkafka's queue at once."""

ANSWER_S = 15.0
"""Seconds that Kafka may take to say what topics there are and where they end."""

SILENCE_S = 60.0
"""Seconds without any message or end of a partition after which the reading is given up."""


MOVING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._WAIT_CACHE,
)
"""What a broker answers while another one takes over a partition, or a topic is very new."""


class Span(NamedTuple):
    """Offsets of a partition: from `begin`, inclusive, to `end`, exclusive. Not every one need be a message."""

    begin: int
    end: int


def partitions_of(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has, by its name in the table.

    Raises TransientError if Kafka does not answer, StateError naming the topics that do not exist.
    """
    known = {
        connection.bare(name): len(topic.partitions)
        for name, topic in _topics(connection, connection.admin()).items()
        if name.startswith(connection.prefix)
    }
    missing = [connection.topic(name) for name in names if name not in known]
    if missing:
        raise StateError(f"there is no topic {', '.join(missing)} in Kafka: `kith topics create` makes it")
    return {name: known[name] for name in names}


def spans(connection: Connection, names: Sequence[str]) -> dict[Place, Span]:
    """Return of every partition of the topics (names in the table) what is there, and is committed, now.

    Raises TransientError if Kafka does not answer, StateError naming the topics that do not exist.
    """
    admin = connection.admin()
    places = [
        TopicPartition(connection.topic(name), partition)
        for name, count in partitions_of(connection, names).items()
        for partition in range(count)
    ]
    if not places:
        return {}
    # The ends last: what a topic holds may only grow after its beginning was asked for.
    begins = _offsets(connection, admin, places, EARLIEST)
    ends = _offsets(connection, admin, places, LATEST)
    return {place: Span(begin, max(begin, ends[place])) for place, begin in begins.items()}


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
            found = consumer.consume(BATCH, 1.0)
            if found:
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
    places = [TopicPartition(*place) for place in starts]
    ends = _offsets(connection, connection.admin(), places, LATEST)
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


def _topics(connection: Connection, admin: AdminClient) -> dict[str, Any]:
    try:
        return dict(admin.list_topics(timeout=ANSWER_S).topics)
    except KafkaException as error:
        raise _unreachable(connection, error) from error


def _offsets(
    connection: Connection, admin: AdminClient, places: Sequence[TopicPartition], which: Any
) -> dict[Place, int]:
    if not places:
        return {}
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            answers = admin.list_offsets(
                dict.fromkeys(places, which),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=ANSWER_S,
            )
            return {(place.topic, place.partition): int(answer.result().offset) for place, answer in answers.items()}
        except KafkaException as error:
            code = error.args[0].code()
            if code in MOVING and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
                names = ", ".join(sorted({place.topic for place in places}))
                raise StateError(f"of the topics {names} one does not exist: `kith topics create` makes it") from error
            raise _unreachable(connection, error) from error


def _unreachable(connection: Connection, error: KafkaException) -> TransientError:
    return TransientError(
        f"Kafka at {connection.settings.brokers} cannot be reached ({error.args[0].str()}): "
        "look at the setting kafka.brokers and whether Kafka runs"
    )
