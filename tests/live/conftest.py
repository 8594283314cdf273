"""What tests of the live pipeline share: one real Kafka for the whole session, and a prefix for each test in it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from stream.connection import Connection

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A Kafka of one node, killed with the session however it ends. If it cannot start, the tests fail and say why."""
    with LocalKafka(tmp_path_factory.mktemp("kafka"), nodes=1, guarded=True) as kafka:
        yield kafka


@pytest.fixture
def settings(kafka: LocalKafka, tmp_path: Path) -> Settings:
    """Settings for that Kafka, with topics and local stores of the test's own."""
    return Settings.model_validate(
        {
            "kafka": {"brokers": kafka.bootstrap, "prefix": f"t{next(NUMBERS)}.", "partitions": 3, "replication": 1},
            "worker": {"data": str(tmp_path / "kith-data"), "api": {"port": 0}},
        }
    )


@pytest.fixture
def connection(settings: Settings) -> Connection:
    """A connection by those settings."""
    return Connection(settings.kafka)
