"""The bytes of events as they were published, for dead letters that are found after the event was decoded."""

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, TopicPartition

from schemas.event import Source
from stream.connection import Connection

PATIENCE_S = 20.0
"""Seconds within which the brokers must hand out what they have."""

Spot = tuple[str, int, int]


class Originals:
    """Reads raw messages again by their place. Few are ever asked for, so the reader is made when one is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, sources: Sequence[Source]) -> dict[Spot, tuple[bytes | None, bytes]]:
        """Return key and value by (topic, partition, offset); what Kafka no longer keeps is missing.

        Raises nothing for that: the caller says so in the dead letter.
        """
        wanted: dict[tuple[str, int], list[int]] = {}
        for source in sources:
            wanted.setdefault((source.topic, source.partition), []).append(source.offset)
        found: dict[Spot, tuple[bytes | None, bytes]] = {}
        if not wanted:
            return found
        reader = self._connection.reader()
        try:
            reader.assign([TopicPartition(topic, partition, min(at)) for (topic, partition), at in wanted.items()])
            last = {place: max(at) for place, at in wanted.items()}
            spots = {(*place, offset) for place, at in wanted.items() for offset in at}
            deadline = time.monotonic() + PATIENCE_S
            while last and time.monotonic() < deadline:
                for message in reader.consume(1_000, 0.2):
                    place = (str(message.topic()), int(message.partition() or 0))
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:
                            last.pop(place, None)
                        continue
                    spot = (*place, int(message.offset() or 0))
                    if spot in spots:
                        found[spot] = (message.key(), message.value() or b"")
                    if place in last and spot[2] >= last[place]:
                        del last[place]
        finally:
            reader.close()
        return found
