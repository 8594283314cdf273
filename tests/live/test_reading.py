"""Reading what is committed, up to the end of the moment."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from schemas.errors import StateError, TransientError
from schemas.live_settings import KafkaSettings
from schemas.settings import Settings
from stream.broker import Broker
from stream.connection import Connection
from stream.reading import Span, partitions_of, read, read_from, read_topics, spans

NAME = "events.identified"


def made(connection: Connection, settings: Settings, *names: str) -> None:
    admin = connection.admin()
    topics = [NewTopic(connection.topic(name), settings.kafka.partitions, 1) for name in names]
    for future in admin.create_topics(topics).values():
        future.result(10)


def transactional(connection: Connection, name: str = "test") -> Producer:
    producer = connection.producer(transactional_id=f"{connection.prefix}{name}")
    producer.init_transactions(10)
    return producer


def write(connection: Connection, producer: Producer, values: list[str], *, commit: bool = True) -> None:
    producer.begin_transaction()
    for number, value in enumerate(values):
        producer.produce(connection.topic(NAME), value=value, partition=number % 3)
    producer.flush(10)
    if commit:
        producer.commit_transaction(10)


def values_of(batches: object) -> list[str]:
    return [message.value().decode() for batch in batches for message in batch]  # type: ignore[attr-defined]


def test_what_is_committed_is_read_once_and_in_order_and_nothing_else(
    connection: Connection, settings: Settings
) -> None:
    made(connection, settings, NAME)
    producer = transactional(connection)
    first = [f"a{number:05}" for number in range(30_000)]
    write(connection, producer, first)
    write(connection, producer, ["undone"] * 9, commit=False)
    producer.abort_transaction(10)
    write(connection, producer, ["last"] * 2)  # one partition ends with the mark of an abort
    heard: list[tuple[int, int]] = []
    found = [message for batch in read_topics(connection, [NAME], lambda *now: heard.append(now)) for message in batch]
    for partition in range(3):
        mine = [message.value() for message in found if message.partition() == partition]
        expected = [value.encode() for value in first[partition::3]]
        assert mine == expected + ([b"last"] if partition < 2 else [])
    assert heard[-1][0] == heard[-1][1] > 30_000
    assert heard == sorted(heard)


def test_reading_ends_where_the_topic_ended_at_first_whatever_is_written_meanwhile(
    connection: Connection, settings: Settings
) -> None:
    made(connection, settings, NAME)
    producer = transactional(connection)
    write(connection, producer, ["early"] * 9)
    parts = spans(connection, [NAME])
    write(connection, producer, ["late"] * 9)
    assert values_of(read(connection, parts)) == ["early"] * 9
    assert sorted(values_of(read_topics(connection, [NAME]))) == ["early"] * 9 + ["late"] * 9
    starts = {place: span.end for place, span in parts.items()}
    assert values_of(read_from(connection, starts)) == ["late"] * 9


def test_what_an_open_transaction_holds_back_is_not_waited_for(connection: Connection, settings: Settings) -> None:
    made(connection, settings, NAME)
    write(connection, transactional(connection), ["before"] * 3)
    open_one = transactional(connection, "open")
    write(connection, open_one, ["open"] * 3, commit=False)
    write(connection, transactional(connection), ["behind"] * 3)
    assert values_of(read_topics(connection, [NAME])) == ["before"] * 3
    open_one.abort_transaction(10)
    assert sorted(values_of(read_topics(connection, [NAME]))) == ["before"] * 3 + ["behind"] * 3


def test_empty_topics_are_read_at_once(connection: Connection, settings: Settings) -> None:
    made(connection, settings, NAME, "identity.graph")
    assert list(read_topics(connection, [NAME, "identity.graph"])) == []
    assert partitions_of(Broker(connection), connection, [NAME]) == {NAME: 3}
    assert set(spans(connection, [NAME]).values()) == {Span(0, 0)}


def test_a_missing_topic_is_named_with_the_way_to_make_it(connection: Connection, settings: Settings) -> None:
    made(connection, settings, NAME)
    with pytest.raises(StateError, match=rf"{settings.kafka.prefix}identity.graph .*kith topics create"):
        spans(connection, [NAME, "identity.graph"])


def test_a_kafka_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.broker.Broker.__init__.__defaults__", (1.0,))
    nowhere = Connection(KafkaSettings(brokers="127.0.0.1:1"))
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1 cannot be reached"):
        spans(nowhere, [NAME])
