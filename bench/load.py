"""Events for the live benches, and a plain producer that publishes them as any team's would."""

import re
import time
from collections.abc import Iterable

from bench.events import lines
from schemas.topics import raw_topic
from stream.connection import Connection

_TYPE = re.compile(rb'"type":"([a-z.]+)"')
_TIME = b'"time":"'
_DEVICE = b'"device_id":"'
NEW = 4
"""So many of a person's ten events show all that is to be known of who it is; the others nothing new."""


def mixed(people: int, each: int = 10) -> list[bytes]:
    """Return the first events of each person's life, all in the order of their times."""
    return in_order(lines(people, each))


def new_and_known(people: int) -> tuple[list[bytes], list[bytes]]:
    """Return events by people not seen before, and further ones of the same people; each in the order of times."""
    new: list[bytes] = []
    known: list[bytes] = []
    for number, line in enumerate(lines(people)):
        (new if number % 10 < NEW else known).append(line)
    return in_order(new), in_order(known)


def in_order(events: Iterable[bytes]) -> list[bytes]:
    """Return events in the order of their times."""

    def time_of(line: bytes) -> bytes:
        at = line.index(_TIME) + len(_TIME)
        return line[at : at + 24]

    return sorted((line.rstrip() for line in events), key=time_of)


class Publisher:
    """Publishes events, keyed by device so that a person's keep their order; `close` waits until all are delivered."""

    def __init__(self, connection: Connection, **options: object) -> None:
        self._producer = connection.producer(queue_buffering_max_messages=500_000, **options)
        self._connection = connection
        self._topics: dict[bytes, str] = {}
        self._failed = 0

    def send(self, line: bytes) -> None:
        """Publish one event."""
        found = _TYPE.search(line)
        kind = b"" if found is None else found[1]
        topic = self._topics.get(kind)
        if topic is None:
            known = raw_topic(kind.decode())
            if known is None:
                raise ValueError(f"no topic for {line!r}")
            topic = self._topics[kind] = self._connection.topic(known.name)
        at = line.index(_DEVICE) + len(_DEVICE)
        key = line[at : line.index(b'"', at)]
        while True:
            try:
                self._producer.produce(topic, line, key, timestamp=time.time_ns() // 1_000_000, on_delivery=self._told)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def poll(self) -> None:
        """Hear of what was delivered."""
        self._producer.poll(0)

    def close(self) -> None:
        """Wait until all is delivered. Raises RuntimeError if something was not."""
        left = self._producer.flush(120)
        if left or self._failed:
            raise RuntimeError(f"{left + self._failed} events were not published")

    def _told(self, error: object, _: object) -> None:
        self._failed += error is not None


def publish(connection: Connection, events: Iterable[bytes]) -> None:
    """Publish events, in their order, as fast as it goes."""
    publisher = Publisher(connection)
    for number, line in enumerate(events):
        publisher.send(line)
        if number % 1_000 == 0:
            publisher.poll()
    publisher.close()
