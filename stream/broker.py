"""Questions to the brokers: which topics there are and how they are set, how far groups have read, who is in them.

Every answer is waited for, and a broker that gives none is a TransientError that names its address.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, if not marked so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.errors import TransientError
from stream.batches import Place
from stream.connection import Connection

ANSWER_S = 15.0
"""Seconds to wait for one answer: several tries of a broker that is just being restarted."""

Answer = TypeVar("Answer")

_NOT_FOUND = (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.UNKNOWN_TOPIC_OR_PART)

_MOVING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_CACHE,
)
"""What is said while another broker takes over, or a topic is very new."""


class Broker:
    """Asks the brokers of a connection. Every method raises TransientError if they do not answer."""

    def __init__(self, connection: Connection, answer_s: float = ANSWER_S) -> None:
        self._address = connection.settings.brokers
        self._answer_s = answer_s
        self._said = ""
        self._prefix = connection.prefix
        # What goes wrong is told by the errors raised here, so librdkafka need not write to standard error.
        self._options = connection.options() | {"log_level": 0, "error_cb": self._listen}
        self._admin = AdminClient(self._options)
        self._observers: dict[str, Consumer] = {}

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic that can be used: every partition has a leader."""
        try:
            found = self._admin.list_topics(timeout=self._answer_s).topics
        except KafkaException as error:
            raise self._failed(error) from error
        return {
            name: len(topic.partitions)
            for name, topic in found.items()
            if topic.error is None and all(p.error is None and p.leader >= 0 for p in topic.partitions.values())
        }

    def size(self) -> int:
        """Return the number of brokers."""
        try:
            return len(self._admin.list_topics(timeout=self._answer_s).brokers)
        except KafkaException as error:
            raise self._failed(error) from error

    def create(self, topics: Iterable[tuple[str, int, int, Mapping[str, str]]]) -> list[str]:
        """Create topics (name, partitions, replication, configuration); return those that were not there."""
        wanted = [
            NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config))
            for name, partitions, replication, config in topics
        ]
        if not wanted:
            return []
        created = []
        for name, future in self._admin.create_topics(wanted, operation_timeout=self._answer_s).items():
            try:
                future.result()
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._failed(error, name) from error
        return created

    def configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the configuration of each topic that there is."""
        found = {}
        for topic in topics:
            asked = [ConfigResource(ResourceType.TOPIC, topic)]
            try:
                (entries,) = self._answers(partial(self._admin.describe_configs, asked), topic).values()
            except _NotFoundError:
                continue
            found[topic] = {name: entry.value for name, entry in entries.items()}
        return found

    def configure(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Set what is given of each topic's configuration, and leave the rest."""
        asked = [
            ConfigResource(
                ResourceType.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in values.items()
                ],
            )
            for topic, values in changes.items()
        ]
        if asked:
            self._answers(partial(self._admin.incremental_alter_configs, asked), "topics")

    def ends(self, places: Iterable[Place], *, committed_only: bool = True) -> dict[Place, int]:
        """Return the end of each partition, without what open transactions have written, or with it."""
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        return self._offsets(places, OffsetSpec.latest(), level)  # type: ignore[no-untyped-call]

    def beginnings(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the first offset that is kept of each partition."""
        spec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        return self._offsets(places, spec, IsolationLevel.READ_UNCOMMITTED)

    def since(self, places: Iterable[Place], ms: int) -> dict[Place, int]:
        """Return the first offset of each partition with a timestamp of `ms` or later; -1 if there is none."""
        return self._offsets(places, OffsetSpec.for_timestamp(ms), IsolationLevel.READ_UNCOMMITTED)

    def committed(self, group: str, places: Iterable[Place] | None = None) -> dict[Place, int]:
        """Return the offsets that a group has committed in these partitions (None: in all under our prefix).

        What an open transaction holds does not count yet, and is not waited for.
        """
        if places is None:
            topics = {name: count for name, count in self.topics().items() if name.startswith(self._prefix)}
            places = [(name, partition) for name, count in topics.items() for partition in range(count)]
        asked = [TopicPartition(topic, partition) for topic, partition in places]
        if not asked:
            return {}
        found = self._retried(lambda: self._observer(group).committed(asked, self._answer_s), group)
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def commit(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Set the offsets of a group that has no member."""
        asked = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._retried(lambda: self._observer(group).commit(offsets=asked, asynchronous=False), group)

    def close(self) -> None:
        """Close what was opened for groups."""
        while self._observers:
            self._observers.popitem()[1].close()

    def _observer(self, group: str) -> Consumer:
        """Return a consumer that reads nothing and is no member of the group.

        An AdminClient could ask for offsets too, but librdkafka 2.16 crashes the process when the answer is that the
        group's coordinator is elsewhere or not ready, as after each restart of a broker (its issue 5040).
        """
        found = self._observers.get(group)
        if found is None:
            # Else the answer would wait for the end of open transactions.
            level = {"isolation.level": "read_uncommitted"}
            options = {"group.id": group, "enable.auto.commit": False, **self._options, **level}
            found = self._observers[group] = Consumer(options)
        return found

    def members(self, groups: Iterable[str]) -> dict[str, int]:
        """Return how many consumers each group has; 0 if there is no such group."""
        found = {}
        for group in groups:
            try:
                (answer,) = self._answers(partial(self._admin.describe_consumer_groups, [group]), group).values()
            except _NotFoundError:
                found[group] = 0
            else:
                found[group] = len(answer.members)
        return found

    def _offsets(self, places: Iterable[Place], spec: OffsetSpec, level: IsolationLevel) -> dict[Place, int]:
        asked = {TopicPartition(topic, partition): spec for topic, partition in places}
        if not asked:
            return {}
        found = self._answers(partial(self._admin.list_offsets, asked, isolation_level=level), "offsets")
        return {(each.topic, each.partition): answer.offset for each, answer in found.items()}

    def _answers(self, ask: Callable[[], dict[Any, Any]], what: str) -> dict[Any, Any]:
        """Ask until every future has an answer. Raises _NotFoundError for a group or topic that there is not."""
        return self._retried(lambda: {each: future.result(self._answer_s) for each, future in ask().items()}, what)

    def _retried(self, ask: Callable[[], Answer], what: str) -> Answer:
        """Ask again while another broker takes over."""
        deadline = time.monotonic() + self._answer_s
        while True:
            try:
                return ask()
            except KafkaException as error:
                problem = error.args[0]
                if problem.code() in _NOT_FOUND:
                    raise _NotFoundError(f"{what}: {problem.str()}") from None
                if (not problem.retriable() and problem.code() not in _MOVING) or time.monotonic() > deadline:
                    raise self._failed(error, what) from error
                time.sleep(0.1)
                self._look_again()
            except TimeoutError:
                raise self._unreached(f"no answer ({what})") from None

    def _look_again(self) -> None:
        """Have librdkafka learn who leads the partitions by now: by itself it asks those it knew, for minutes."""
        try:
            self._admin.list_topics(timeout=min(5.0, self._answer_s))
        except KafkaException as error:
            self._said = error.args[0].str()

    def _failed(self, error: KafkaException, what: str = "") -> TransientError:
        problem = error.args[0]
        if problem.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
            return self._unreached(problem.str())
        return TransientError(f"{what or 'Kafka at ' + self._address}: {problem.str()}")

    def _unreached(self, why: str) -> TransientError:
        self._admin.poll(0)
        # After an outage of some seconds now and then one of librdkafka's clients does not look for the brokers again.
        self._admin = AdminClient(self._options)
        self.close()
        return TransientError(f"Kafka at {self._address} cannot be reached: {self._said or why}")

    def _listen(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._said = error.str().partition(" (after ")[0]


class _NotFoundError(TransientError):
    """There is no such group or topic."""
