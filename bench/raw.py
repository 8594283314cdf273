"""The ceiling: a program that only consumes, decodes, and produces one output, exactly once, 5,000 to a transaction.

`python -m bench.raw BROKERS PREFIX GROUP` reads what stands on the raw topics of the prefix and prints as JSON the
events, and the wall and CPU seconds from the first of them to the last commit.
"""

import json
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import TopicPartition

from schemas.contract import FAMILIES
from schemas.settings import Settings
from stream.broker import Broker
from stream.connection import Connection

BATCH = 5_000
OUT = "raw.out"


class RawEvent(msgspec.Struct, gc=False):
    """An event as it is published."""

    id: str
    type: str
    time: str
    source: str
    identifiers: dict[str, Any]
    data: dict[str, Any]


def run(connection: Connection, group: str, partitions: int) -> dict[str, float]:
    """Work everything off once."""
    topics = [connection.topic(f"events.{family}") for family in FAMILIES]
    broker = Broker(connection)
    places = [(topic, n) for topic in topics for n in range(broker.topics()[topic])]
    left = sum(broker.ends(places).values())  # the publisher uses no transactions: offsets count messages
    consumer = connection.consumer(group, queued_max_messages_kbytes=65_536, fetch_max_bytes=16 << 20)
    consumer.assign([TopicPartition(topic, n, 0) for topic, n in places])
    producer = connection.producer(transactional_id=group, queue_buffering_max_messages=1_000_000)
    producer.init_transactions(30)
    decode, out = msgspec.json.Decoder(RawEvent).decode, connection.topic(OUT)
    events, started, started_cpu = 0, 0.0, 0.0
    while events < left:
        messages = consumer.consume(BATCH, 0.2)
        if not messages:
            continue
        if not started:
            started, started_cpu = time.perf_counter(), time.process_time()
        by_partition: list[list[dict[str, Any]]] = [[] for _ in range(partitions)]
        ends: dict[tuple[str, int], int] = {}
        for message in messages:
            value = message.value() or b""
            key = decode(value).id
            by_partition[zlib.crc32(key.encode()) % partitions].append({"key": key, "value": value})
            ends[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0) + 1
        producer.begin_transaction()
        for number, outputs in enumerate(by_partition):
            if outputs and producer.produce_batch(out, outputs, number) != len(outputs):
                raise RuntimeError("the queue of the producer is full")
        producer.send_offsets_to_transaction(
            [TopicPartition(*place, end) for place, end in ends.items()], consumer.consumer_group_metadata()
        )
        producer.commit_transaction(30)
        events += len(messages)
    found = {
        "events": float(events),
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - started_cpu,
    }
    consumer.close()
    return found


def main(arguments: Sequence[str]) -> None:
    """Run once and print."""
    brokers, prefix, group = arguments
    settings = Settings.model_validate({"kafka": {"brokers": brokers, "prefix": prefix}})
    connection = Connection(settings.kafka)
    broker = Broker(connection)
    partitions = broker.topics()[connection.topic(f"events.{next(iter(FAMILIES))}")]
    broker.create([(connection.topic(OUT), partitions, 1, {})])
    print(json.dumps(run(connection, group, partitions)))


if __name__ == "__main__":
    main(sys.argv[1:])
