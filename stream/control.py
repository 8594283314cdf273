"""Commands to all workers, one agent on `control.commands`: so far `clock`, which moves everybody's time on.

A command is carried out at least once, and each may be carried out twice. One that cannot be is a dead letter.
"""

import asyncio
import logging
from typing import Any, Literal

import faust
import msgspec

from schemas.errors import TransientError
from schemas.settings import Settings
from stream import wire
from stream.broker import Broker
from stream.connection import Connection
from stream.dead_letters import TOPIC as DEAD_LETTERS
from stream.dead_letters import dead_letter
from stream.faust_app import done, publish
from stream.messages import Advance
from stream.metrics import Metrics

log = logging.getLogger(__name__)

TOPIC = "control.commands"


class _Command(msgspec.Struct):
    command: str


class _Clock(msgspec.Struct):
    to_ms: int
    command_id: str = ""


_command = msgspec.json.Decoder(_Command).decode
_clock = msgspec.json.Decoder(_Clock).decode


def register(
    app: faust.App, settings: Settings, connection: Connection, metrics: Metrics, clock: Literal["live", "events"]
) -> None:
    """Add the agent that carries out commands; with the clock `live` there is a wall clock, and nothing moves it."""
    broker = Broker(connection)

    async def advance(to_ms: int) -> None:
        topic = connection.topic("events.identified")
        partitions = await _partitions(broker, topic)
        value = wire.encode(Advance(to_ms))
        await asyncio.gather(*(publish(app, topic, None, value, number) for number in range(partitions)))
        log.info("the clock goes on to %d in %d partitions", to_ms, partitions)

    async def carry_out(value: bytes) -> str | None:
        """Carry out a command, or return why it cannot be."""
        try:
            name = _command(value).command
            if name != "clock":
                return f"command: `{name}` is not one that this version carries out"
            to_ms = _clock(value).to_ms
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return str(error)
        if to_ms < 0:
            return "to_ms: must not be negative"
        if clock == "live":
            log.warning("a clock command is ignored: the workers go by the time of day (kith worker --clock live)")
        else:
            await advance(to_ms)
        return None

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            message, value = event.message, event.message.value or b""
            problem = await carry_out(value)
            if problem is not None:
                log.warning("a command becomes a dead letter: %s", problem)
                letter = dead_letter("invalid", problem, TOPIC, message.partition, message.offset, value)
                await publish(app, connection.topic(DEAD_LETTERS), message.key, letter)
                metrics.refused("invalid")
            metrics.command("clock" if problem is None else "other", "done" if problem is None else "refused")
            done(event)

    app.agent(app.topic(connection.topic(TOPIC)), name=f"{app.conf.id}-commands")(agent)


async def _partitions(broker: Broker, topic: str) -> int:
    """Return how many partitions a topic has; while Kafka does not know, ask again."""
    while True:
        try:
            return (await asyncio.to_thread(broker.topics))[topic]
        except (KeyError, TransientError) as error:
            log.warning("%s: the partitions are not known: %s", topic, error)
        await asyncio.sleep(1)
