"""The command that moves everybody's clock on, where workers run with the clock of the events."""

import uuid

from confluent_kafka import KafkaError

from schemas.errors import StateError, TransientError
from schemas.messages import ClockCommand
from stream.broker import Broker
from stream.connection import Connection

TOPIC = "control.commands"
FLUSH_S = 30.0
"""Seconds within which the brokers must take the command."""


def advance(connection: Connection, to_ms: int) -> str:
    """Publish the command and return its id. Raises StateError without the topic, TransientError without brokers."""
    topic = connection.topic(TOPIC)
    if topic not in Broker(connection).topics():
        raise StateError(f"there is no topic {topic}: run kith topics create")
    command = ClockCommand(command="clock", command_id=str(uuid.uuid4()), to_ms=to_ms)
    failures: list[str] = []

    def undelivered(error: KafkaError | None, message: object) -> None:
        if error is not None:
            failures.append(error.str())

    producer = connection.producer()
    producer.produce(topic, command.model_dump_json().encode(), command.command_id, on_delivery=undelivered)
    if producer.flush(FLUSH_S) or failures:
        raise TransientError(f"{topic}: {failures[0] if failures else 'no answer'}")
    return command.command_id
