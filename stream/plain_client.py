"""Kafka as any team uses it: events published by a plain client, and what Kith publishes read back."""

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from schemas.topics import raw_topic
from stream.connection import Connection


def publish_plainly(connection: Connection, source: Path, most: int) -> int:
    """Publish at most so many lines of a file: the topic of the event's type, JSON as the value. Returns how many."""
    producer = Producer(connection.options(linger_ms=20))
    count = 0
    with source.open("rb") as lines:
        for line in itertools.islice(lines, most):
            try:
                event = json.loads(line)
                topic = raw_topic(event["type"])
            except (ValueError, KeyError, TypeError):
                topic = None
            name = "events.customer" if topic is None else topic.name
            while True:
                try:
                    producer.produce(connection.topic(name), line.rstrip(b"\n"), key=str(count))
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
    producer.flush(60)
    return count


def arrived(connection: Connection) -> tuple[int, dict[str, dict[str, Any]], Counter[str]]:
    """Return how many profiles arrived, the latest by OneID, and the fired triggers by rule."""
    reader: Consumer = connection.reader()
    latest: dict[str, dict[str, Any]] = {}
    fired: Counter[str] = Counter()
    profiles = 0
    try:
        topics = {
            name: found
            for name, found in reader.list_topics(timeout=20).topics.items()
            if connection.bare(name) == "profiles" or connection.bare(name).startswith("triggers.")
        }
        places = [TopicPartition(name, n, OFFSET_BEGINNING) for name, found in topics.items() for n in found.partitions]
        reader.assign(places)
        left = len(places)
        while left:
            for message in reader.consume(1_000, 1.0):
                if message.error() is not None:
                    left -= 1
                elif connection.bare(str(message.topic())) == "profiles":
                    one_id, value = (message.key() or b"").decode(), message.value()
                    if value is None:
                        latest.pop(one_id, None)
                    else:
                        profiles += 1
                        latest[one_id] = json.loads(value)
                else:
                    said = json.loads(message.value() or b"{}")
                    fired[said["rule"]] += said["outcome"] == "fired"
    finally:
        reader.close()
    return profiles, latest, fired
