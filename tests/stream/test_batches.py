"""The merger of partitions gives messages out in the order in which they arrived."""

from itertools import pairwise
from typing import cast

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from stream.batches import Merger
from tests.stream.helpers import RAW_TOPIC, Raw


def merger(partitions: dict[int, list[int]]) -> Merger:
    """A merger that was given all messages of these partitions: their timestamps, in order."""
    found = Merger()
    found.opened({(RAW_TOPIC, partition) for partition in partitions})
    for partition, stamps in partitions.items():
        found.add(cast(list[Message], [Raw(n, b"", partition, ms) for n, ms in enumerate(stamps)]))
        found.at_end((RAW_TOPIC, partition))
    return found


def takes(merged: Merger, size: int) -> list[list[Message]]:
    """All it gives out, take by take."""
    return list(iter(lambda: merged.take(size), []))


def arrived(message: Message) -> int:
    return message.timestamp()[1]


@given(
    st.dictionaries(st.integers(0, 3), st.lists(st.integers(1, 6), max_size=12).map(sorted), min_size=1),
    st.integers(1, 8),
)
def test_they_come_in_order_and_one_millisecond_is_not_torn_apart_unless_it_is_a_batch_of_its_own(
    partitions: dict[int, list[int]], size: int
) -> None:
    batches = takes(merger(partitions), size)
    all_of_them = [each for batch in batches for each in batch]
    assert [arrived(each) for each in all_of_them] == sorted(ms for stamps in partitions.values() for ms in stamps)
    for partition, stamps in partitions.items():
        assert [each.offset() for each in all_of_them if each.partition() == partition] == list(range(len(stamps)))
    for batch, following in pairwise(batches):
        assert size <= len(batch) <= 2 * size
        assert arrived(batch[-1]) != arrived(following[0]) or len(batch) == 2 * size


def test_an_older_message_that_another_partition_may_have_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    merged = merger({0: [10, 20]})
    merged.opened({(RAW_TOPIC, 1)})
    assert takes(merged, 5) == []
    merged.add(cast(list[Message], [Raw(0, b"", 1, 15)]))
    assert [arrived(each) for each in takes(merged, 5)[0]] == [10, 15]  # after it there may be another one before 20
    monkeypatch.setattr("stream.batches.PATIENCE_S", 0.0)
    assert [arrived(each) for each in takes(merged, 5)[0]] == [20]
