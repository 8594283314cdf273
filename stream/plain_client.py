"""Kafka as any team uses it: events published by a plain client, and what Kith publishes read back as it arrives."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Producer, TopicPartition

from schemas.errors import TransientError
from schemas.topics import raw_topic
from stream.broker import Broker
from stream.connection import Connection

FLUSH_S = 60.0
EVERY = 500
"""Events between two reports."""


def publish_plainly(
    connection: Connection, lines: Iterable[bytes], report: Callable[[int], None] = lambda done: None
) -> int:
    """Publish lines of JSON: the topic of the event's type, one of its identifiers as the key. Returns how many.

    Raises TransientError if the brokers do not take them.
    """
    producer = Producer(connection.options(linger_ms=20, acks="all", enable_idempotence=True, compression_type="lz4"))
    count = 0
    for count, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            topic, key = raw_topic(event["type"]), next(iter(event["identifiers"].values()), None)
        except (ValueError, KeyError, TypeError, AttributeError):
            topic = key = None
        name = connection.topic("events.customer" if topic is None else topic.name)
        while True:
            try:
                producer.produce(name, line, None if key is None else json.dumps(key))
                break
            except BufferError:
                producer.poll(0.1)
        if count % EVERY == 0:
            producer.poll(0)
            report(count)
    if producer.flush(FLUSH_S):
        raise TransientError(f"Kafka has not taken the events within {FLUSH_S:.0f} s")
    report(count)
    return count


class Arrivals:
    """Reads the topics `profiles` and `triggers.*` from their beginning, as a marketing tool would.

    `profiles` counts messages, `latest` is the newest profile by OneID (a withdrawn one is left out), `fired` the fired
    triggers by rule. Raises TransientError if Kafka does not answer.
    """

    def __init__(self, connection: Connection) -> None:
        self.profiles = 0
        self.latest: dict[str, dict[str, Any]] = {}
        self.fired: Counter[str] = Counter()
        self._connection = connection
        broker = Broker(connection)
        places = [
            (topic, number)
            for topic, count in broker.topics().items()
            if connection.bare(topic) == "profiles" or connection.bare(topic).startswith("triggers.")
            for number in range(count)
        ]
        broker.close()
        self._reader = connection.reader()
        self._reader.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        self._places = set(places)
        self._ended: set[tuple[str, int]] = set()

    @property
    def complete(self) -> bool:
        """Whether the end of every partition was met since the first `poll`."""
        return self._ended == self._places

    def poll(self, seconds: float = 0.0) -> None:
        """Take what has arrived, waiting so long for more."""
        for message in self._reader.consume(5_000, seconds):
            if message.error() is not None:
                self._ended.add((str(message.topic()), int(message.partition() or 0)))
            elif self._connection.bare(str(message.topic())) == "profiles":
                one_id, value = (message.key() or b"").decode(), message.value()
                if value is None:
                    self.latest.pop(one_id, None)
                else:
                    self.profiles += 1
                    self.latest[one_id] = json.loads(value)
            else:
                said = json.loads(message.value() or b"{}")
                self.fired[said["rule"]] += said["outcome"] == "fired"

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()


def arrived(connection: Connection) -> Arrivals:
    """Read all that is there now, each partition to its end."""
    arrivals = Arrivals(connection)
    try:
        while not arrivals.complete:
            arrivals.poll(1.0)
    finally:
        arrivals.close()
    return arrivals
