"""Which worker has which partition of people, and how its HTTP side is reached: asked of Kafka's group itself.

A worker's consumers call themselves `NAME@HOST:PORT`, with the address of its API. So no worker keeps a list of the
others.
"""

import threading
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import TransientError
from stream.connection import Connection

FRESH_S = 1.0
"""Seconds for which an answer of the group is believed."""

ANSWER_S = 5.0


def client_id(name: str, address: str) -> str:
    """Return what a worker's consumers call themselves; `address` is `HOST:PORT` of its API."""
    return f"{name}@{address}"


class Owners:
    """Who has the partitions of a topic in a stage. Blocks while it asks; safe to use from several threads."""

    def __init__(self, connection: Connection, stage: str = "profile", topic: str = "events.identified") -> None:
        self._group = connection.group(stage)
        self._topic = connection.topic(topic)
        self._connection = connection
        self._admin: AdminClient | None = None
        self._lock = threading.Lock()
        self._addresses: dict[int, str] = {}
        self._asked_at = float("-inf")

    def known(self, partition: int) -> str | None:
        """Return the address as far as it is known without asking, None if it is not, or was asked too long ago."""
        return self._addresses.get(partition) if time.monotonic() - self._asked_at < FRESH_S else None

    def find(self, partition: int, since: float = float("-inf")) -> str | None:
        """Return the address of the worker that has a partition, None if nobody has it.

        What was asked after `since` (of `time.monotonic`) and within the last second is not asked again. Raises
        TransientError if Kafka does not answer.
        """
        return self._fresh(since).get(partition)

    def everybody(self) -> list[str]:
        """Return the addresses of all that have a partition. Raises TransientError if Kafka does not answer."""
        return sorted(set(self._fresh(float("-inf")).values()))

    def _fresh(self, since: float) -> dict[int, str]:
        with self._lock:  # those who wait here take the answer of the one who asks
            if self._asked_at <= since or time.monotonic() - self._asked_at > FRESH_S:
                self._addresses = self._ask()
                self._asked_at = time.monotonic()
            return self._addresses

    def _ask(self) -> dict[int, str]:
        if self._admin is None:
            # What goes wrong is told by the error raised here, so librdkafka need not write to standard error.
            self._admin = AdminClient(self._connection.options() | {"log_level": 0})
        try:
            (future,) = self._admin.describe_consumer_groups([self._group], request_timeout=ANSWER_S).values()
            group = future.result(ANSWER_S)
        except (KafkaException, TimeoutError) as error:
            self._admin = None  # a new one, since not every client finds back to a Kafka that was away
            raise TransientError(f"Kafka does not tell who is in {self._group}: {error}") from None
        return {
            place.partition: member.client_id.rpartition("@")[2]
            for member in group.members
            for place in member.assignment.topic_partitions
            if place.topic == self._topic
        }
