"""Reading topics from an offset up to their end as it is now: changelogs and compacted topics."""

import time
from collections.abc import Iterator, Mapping

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from schemas.errors import TransientError
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection

SILENCE_S = 60.0
"""Seconds without an answer after which reading gives up."""

Record = tuple[bytes, bytes | None]
"""Key and value; None: deleted."""


def read_to_end(
    connection: Connection, starts: Mapping[Place, int], size: int = 10_000
) -> Iterator[tuple[Place, list[Record], int]]:
    """Yield (partition, records, offset after them) until every partition was read up to its end as it was at the call.

    A transaction that its worker left open hides what others have committed behind it, so it is waited for until the
    broker ends it. `starts` has the offset of the first record wanted (0: from the beginning); one that no longer
    exists means the earliest there is. Messages without a key are left out. Raises TransientError if Kafka is silent
    for long.
    """
    if not starts:
        return
    wanted = Broker(connection).ends(starts, committed_only=False)
    reader = connection.reader(queued_max_messages_kbytes=65_536)
    try:
        reader.assign([TopicPartition(*place, offset or OFFSET_BEGINNING) for place, offset in starts.items()])
        missing = set(starts)
        heard = time.monotonic()
        while missing:
            messages = reader.consume(size, 0.1)
            if not messages:
                if time.monotonic() - heard > SILENCE_S:
                    raise TransientError(f"Kafka has not answered for {SILENCE_S:.0f} s: is it up?")
                continue
            heard = time.monotonic()
            found: dict[Place, list[Record]] = {}
            ends: dict[Place, int] = {}
            for message in messages:
                place = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is None:
                    ends[place] = int(message.offset() or 0) + 1
                    key = message.key()
                    if key is not None:
                        found.setdefault(place, []).append((key, message.value()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    if int(message.offset() or 0) >= wanted[place]:
                        missing.discard(place)
                elif not error.retriable():
                    raise TransientError(f"{place[0]} [{place[1]}] cannot be read: {error.str()}")
            for place, offset in ends.items():
                yield place, found.get(place, []), offset
    finally:
        reader.close()
