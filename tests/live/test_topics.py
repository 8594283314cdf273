"""Topics are made as the table says, by as many as like at once, and differences are named."""

import threading
import time

import pytest

from deploy.kafka_local import LocalKafka
from schemas.errors import TransientError
from schemas.settings import Settings
from schemas.topics import TOPICS
from stream import topics
from stream.broker import Broker
from stream.connection import Connection
from triggers.rules import RuleSet


@pytest.fixture
def ruleset(settings: Settings) -> RuleSet:
    return RuleSet.from_settings(settings)


def test_the_table_becomes_topics_once(connection: Connection, settings: Settings, ruleset: RuleSet) -> None:
    wanted = topics.expected(settings, ruleset)
    assert [line.partition(": ")[2] for line in topics.check(connection, settings, ruleset)] == ["is missing"] * len(
        wanted
    )
    told: list[str] = []
    created = topics.create(connection, settings, ruleset, told.append)
    assert sorted(created) == sorted(told) == sorted(topic.name for topic in wanted)
    assert topics.create(connection, settings, ruleset) == []
    assert topics.check(connection, settings, ruleset) == []
    there = Broker(connection).topics()
    assert there[connection.topic("events.identified")] == 3
    assert there[connection.topic("identity.requests")] == 1
    assert there[connection.topic("triggers.cart-abandon")] == 3
    assert len(wanted) == len(TOPICS) - 1 + len(ruleset.rules)


def test_topics_that_several_create_at_once_are_created_once(
    connection: Connection, settings: Settings, ruleset: RuleSet
) -> None:
    created: list[str] = []
    errors: list[Exception] = []

    def create() -> None:
        try:
            created.extend(topics.create(connection, settings, ruleset))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(created) == sorted(topic.name for topic in topics.expected(settings, ruleset))


def test_a_topic_that_differs_is_named_with_what_differs(
    connection: Connection, settings: Settings, ruleset: RuleSet
) -> None:
    broker = Broker(connection)
    state, orders = connection.topic("profiles.state"), connection.topic("events.order")
    broker.create([(orders, 2, 1, {"retention.ms": "1000"})])
    topics.create(connection, settings, ruleset)
    broker.configure({state: {"cleanup.policy": "delete"}})
    while broker.configs([state])[state]["cleanup.policy"] != "delete":  # a moment later all brokers know
        time.sleep(0.05)
    assert topics.check(connection, settings, ruleset) == [
        f"{orders}: has 2 partitions, not 3",
        f"{orders}: retention.ms is 1000, not 2592000000",
        f"{state}: cleanup.policy is delete, not compact",
    ]


def test_topics_under_the_prefix_that_nobody_knows_are_mentioned(
    connection: Connection, settings: Settings, ruleset: RuleSet
) -> None:
    former = connection.topic("triggers.a-former-rule")
    Broker(connection).create([(former, 1, 1, {})])
    topics.create(connection, settings, ruleset)
    assert topics.unknown(connection, settings, ruleset) == [former]
    assert topics.check(connection, settings, ruleset) == []


def test_a_kafka_that_is_not_there_is_named(settings: Settings, kafka: LocalKafka) -> None:
    elsewhere = settings.kafka.model_copy(update={"brokers": "127.0.0.1:9"})
    with pytest.raises(TransientError, match=r"Kafka at 127\.0\.0\.1:9 cannot be reached: .*refused"):
        Broker(Connection(elsewhere), answer_s=2).topics()
