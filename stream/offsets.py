"""Where topics end, and how far groups have come."""

from collections.abc import Iterable, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream.batches import Place

ANSWER_S = 10.0
"""Seconds within which the brokers must answer."""


def ends(admin: AdminClient, places: Iterable[Place]) -> dict[Place, int]:
    """Return the committed end of each partition: the offset of the next message. Raises KafkaException."""
    wanted = {TopicPartition(*place): OffsetSpec.latest() for place in places}
    if not wanted:
        return {}
    answers = admin.list_offsets(
        wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_S
    )
    return {(place.topic, place.partition): answer.result(ANSWER_S).offset for place, answer in answers.items()}


def committed(admin: AdminClient, group: str) -> dict[Place, int]:
    """Return the offsets a group has committed, also while a transaction is open. Raises KafkaException."""
    answer = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], require_stable=False, request_timeout=ANSWER_S
    )[group]
    found = answer.result(ANSWER_S).topic_partitions
    return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}


def reached(ends: Mapping[Place, int], committed: Mapping[Place, int]) -> bool:
    """Return whether a group has come to all these ends; an empty partition needs no coming to."""
    return all(committed.get(place, 0) >= end for place, end in ends.items())
