"""Waiting ends when everything is worked off: round a cycle of stages, and whatever marks transactions leave."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition

from schemas.errors import StateError, TransientError
from schemas.settings import Settings
from stream import topics
from stream.connection import Connection
from stream.lag import LAKE, STAGES, Lag, lag, wait
from triggers.rules import RuleSet

Said = list[tuple[str, bytes]]


class Stage(threading.Thread):
    """Reads its topics in small batches; what it says and its offsets are one transaction."""

    def __init__(
        self, connection: Connection, name: str, work: Callable[[bytes], Said], *, breaks_off: bool = False
    ) -> None:
        super().__init__()
        self.done: Counter[bytes] = Counter()
        self.stopped = threading.Event()
        self._connection = connection
        self._work = work
        self._breaks_off = breaks_off
        self._random = random.Random(name)
        self._name = name

    def run(self) -> None:
        consumer = self._connection.consumer(self._connection.group(self._name))
        producer = self._connection.producer(transactional_id=self._connection.group(self._name))
        producer.init_transactions(10)
        consumer.subscribe([self._connection.topic(name) for name in STAGES[self._name]])
        while not self.stopped.is_set():
            batch = [message for message in consumer.consume(7, 0.05) if message.error() is None]
            if not batch:
                continue
            if self._breaks_off:  # once: messages that nobody will ever read
                self._breaks_off = False
                self._send(producer, batch)
                producer.abort_transaction(10)
            time.sleep(self._random.choice((0, 0, 0.05, 0.4)))
            self._send(producer, batch)
            offsets = {(m.topic(), m.partition()): m.offset() + 1 for m in batch}
            producer.send_offsets_to_transaction(
                [TopicPartition(*place, offset) for place, offset in offsets.items()],
                consumer.consumer_group_metadata(),
                10,
            )
            producer.commit_transaction(10)
            self.done.update(m.value() for m in batch)
        consumer.close()

    def _send(self, producer, batch) -> None:
        producer.begin_transaction()
        for message in batch:
            for name, value in self._work(message.value()):
                producer.produce(self._connection.topic(name), value, message.key())
        producer.flush(10)


@contextmanager
def running(*stages: Stage) -> Iterator[None]:
    for stage in stages:
        stage.start()
    try:
        yield
    finally:
        for stage in stages:
            stage.stopped.set()
        for stage in stages:
            stage.join()


@pytest.fixture
def ready(connection: Connection, settings: Settings) -> Connection:
    topics.create(connection, settings, RuleSet.from_settings(settings))
    return connection


def bounce(value: bytes) -> Said:
    """Send a message round the cycle as often as its last byte says."""
    left = value[-1] - ord("0")
    return [("identity.requests", value[:-1] + bytes([value[-1] - 1]))] if left else []


def test_waiting_ends_when_the_last_message_has_left_the_cycle(ready: Connection) -> None:
    identify = Stage(ready, "identify", lambda value: [("events.identified", value)], breaks_off=True)
    resolve = Stage(ready, "resolve", lambda value: [("events.identified", value)])
    profile = Stage(ready, "profile", bounce, breaks_off=True)
    publisher = ready.producer()
    seen: list[int] = []
    with running(identify, resolve, profile):
        for turn in range(3):
            for number in range(40):
                value = f"{turn}-{number}-{number % 4}".encode()
                publisher.produce(ready.topic("events.order"), value, str(number))
            publisher.flush(10)
            wait(ready, 60, seen.append)
            assert identify.done.total() == (turn + 1) * 40
            assert profile.done.total() == (turn + 1) * 100
            assert resolve.done.total() == (turn + 1) * 60
        assert max(profile.done.values()) == 1
        assert max(seen) > 0
        reading = Lag(ready)
        assert reading.look().gaps()  # marks of transactions, which are no lag
        reading.close()
        found = lag(ready)
    assert {each.stage for each in found} == {*STAGES, LAKE}
    assert sum(each.lag for each in found if each.stage != LAKE) == 0  # nobody runs that stage here, nor waits for it
    workers = {each.stage: each.workers for each in found}
    assert workers == {"identify": 1, "resolve": 1, "profile": 1, "control": 0, LAKE: 0}
    assert sum(each.partitions for each in found if each.stage == "identify") == 15


def test_who_waits_in_vain_is_told_what_is_left_and_who_is_missing(ready: Connection) -> None:
    publisher = ready.producer()
    for number in range(5):
        publisher.produce(ready.topic("events.order"), b"x", str(number))
    publisher.flush(10)
    with pytest.raises(TransientError) as error:
        wait(ready, 1)
    assert str(error.value) == (
        f"not worked off after 1 s: identify {ready.topic('events.order')}: 5; no worker is there for identify"
    )
    assert {each.topic: each.lag for each in lag(ready) if each.lag} == {ready.topic("events.order"): 5}


def test_what_an_open_transaction_has_written_is_waited_for(ready: Connection) -> None:
    producer = ready.producer(transactional_id=ready.group("open"))
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(ready.topic("events.identified"), b"x")
    producer.flush(10)
    with pytest.raises(TransientError, match=r"profile .*events\.identified: 1; no worker"):
        wait(ready, 1)
    producer.abort_transaction(10)
    wait(ready, 10)


def test_waiting_without_topics_says_what_makes_them(connection: Connection) -> None:
    with pytest.raises(StateError, match="kith topics create"):
        wait(connection, 1)
