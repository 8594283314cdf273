"""The topics of the table in Kafka: what they should be, made where they are missing, compared where they are."""

import time
from collections.abc import Callable
from typing import NamedTuple

from schemas.errors import TransientError
from schemas.settings import Settings
from schemas.topics import MAX_MESSAGE_BYTES, PARTITIONS, TOPICS, Topic
from stream.broker import Broker
from stream.connection import Connection, milliseconds
from triggers.rules import RuleSet

REPLICATION = 3
"""Copies of each partition, if there are as many brokers: one may be lost, and another one restarted."""

WAIT_S = 30.0
"""Seconds until a topic that was created has a leader for every partition."""

_HOUR_MS = str(3_600_000)


class Expected(NamedTuple):
    """What a topic should be: its full name, its number of partitions, and what is set of its configuration."""

    name: str
    partitions: int
    config: dict[str, str]


def expected(settings: Settings, ruleset: RuleSet) -> list[Expected]:
    """Return the topics that these settings and rules ask for, in the order of the table."""
    found = []
    for topic in TOPICS:
        rules = [rule.name for rule in ruleset.rules] if "{rule}" in topic.name else [""]
        partitions = settings.kafka.partitions if topic.partitions == PARTITIONS else topic.partitions
        config = _config(topic, settings)
        found += [Expected(settings.kafka.prefix + topic.named(rule), partitions, config) for rule in rules]
    return found


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    kept_ms = str(milliseconds(settings.kafka.retention))
    config = {
        "cleanup.policy": topic.cleanup,
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "message.timestamp.type": "CreateTime",
    }
    if topic.cleanup == "delete":
        return config | {"retention.ms": kept_ms}
    return config | {
        # A worker that was away for less still learns from its changelog what is gone.
        "delete.retention.ms": kept_ms,
        # The segment that is written to is not compacted, so an hour's changes are the least that a restore reads.
        "segment.ms": _HOUR_MS,
        "min.cleanable.dirty.ratio": "0.2",
    }


def create(
    connection: Connection, settings: Settings, ruleset: RuleSet, said: Callable[[str], None] = lambda name: None
) -> list[str]:
    """Create the topics that are missing, wait until all can be used, and return the names of those created.

    A topic that is there stays as it is: `check` tells where it differs. `said` is told of each one created. Raises
    TransientError if Kafka cannot be reached or a topic does not come to life.
    """
    broker = Broker(connection)
    topics = expected(settings, ruleset)
    there = broker.topics()
    missing = [topic for topic in topics if topic.name not in there]
    copies = replication(settings, broker) if missing else 1
    # With two of three copies written, what is acknowledged survives the loss of a broker.
    safe = {"min.insync.replicas": "2"} if copies >= REPLICATION else {}
    created = broker.create((topic.name, topic.partitions, copies, topic.config | safe) for topic in missing)
    for name in created:
        said(name)
    _await(broker, {topic.name for topic in missing})
    return created


def replication(settings: Settings, broker: Broker) -> int:
    """Return the copies of each partition of a new topic."""
    return settings.kafka.replication or min(REPLICATION, broker.size())


def _await(broker: Broker, names: set[str]) -> None:
    deadline = time.monotonic() + WAIT_S
    while missing := names - broker.topics().keys():
        if time.monotonic() > deadline:
            raise TransientError(
                f"topics are created but not in use after {WAIT_S:.0f} s: {', '.join(sorted(missing))}"
            )
        time.sleep(0.05)


def check(connection: Connection, settings: Settings, ruleset: RuleSet) -> list[str]:
    """Return where the topics differ from what they should be, as lines `topic: what`. Raises TransientError."""
    broker = Broker(connection)
    there = broker.topics()
    topics = expected(settings, ruleset)
    configs = broker.configs(topic.name for topic in topics if topic.name in there)
    drift = []
    for topic in topics:
        if topic.name not in there:
            drift.append(f"{topic.name}: is missing")
            continue
        partitions = there[topic.name]
        if partitions != topic.partitions:
            drift.append(f"{topic.name}: has {partitions} partitions, not {topic.partitions}")
        found = configs.get(topic.name, {})
        drift += [
            f"{topic.name}: {name} is {found.get(name)}, not {value}"
            for name, value in topic.config.items()
            if found.get(name) != value
        ]
    return drift


def unknown(connection: Connection, settings: Settings, ruleset: RuleSet) -> list[str]:
    """Return the topics that look like ours and are not in the table: of rules no longer in force, of a former version.

    With a prefix those under it, without one those that begin like one of the table. Raises TransientError.
    """
    names = {topic.name for topic in expected(settings, ruleset)}
    prefix = settings.kafka.prefix
    ours = (prefix,) if prefix else tuple({topic.name.partition(".")[0] + "." for topic in TOPICS if "." in topic.name})
    return sorted(name for name in Broker(connection).topics() if name not in names and name.startswith(ours))
