"""Runs a Faust app beside a test, as a worker does: in a loop that is not Faust's."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import faust
import uvloop
from confluent_kafka import Message, Producer

from schemas.topics import TOPICS
from stream.broker import Broker
from stream.connection import Connection
from stream.faust_app import run
from stream.reading import read_topics


class Running:
    """An app that runs in a thread of its own; `error` is what broke it."""

    def __init__(self, make: Callable[[], faust.App]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None
        self.stop_s = 0.0

    def start(self, timeout_s: float = 30) -> "Running":
        self._thread.start()
        assert self._ready.wait(timeout_s), "the app did not start"
        return self

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        began = time.monotonic()
        self._loop.call_soon_threadsafe(self._stop.set)
        self.join()
        self.stop_s = time.monotonic() - began

    def join(self, timeout_s: float = 30) -> None:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the app did not stop"

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            self.error = error

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready = asyncio.Event()
        task = asyncio.create_task(run(self._make(), self._stop, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._ready.set()
        await task


@contextmanager
def running(make: Callable[[], faust.App]) -> Iterator[Running]:
    """Run an app until the block ends. Raises what broke it."""
    app = Running(make).start()
    try:
        yield app
    finally:
        if app.alive:
            app.stop()
    if app.error is not None:
        raise app.error


def create(connection: Connection, **partitions: int) -> None:
    """Create topics of the table; a name's dots are underlines, `triggers_RULE` is one of the rules' topics."""
    policies = {topic.name: topic.cleanup for topic in TOPICS}
    names = [name.replace("_", ".") for name in partitions]
    broker = Broker(connection)
    broker.create(
        (connection.topic(name), number, 1, {"cleanup.policy": policies.get(name, "delete")})
        for name, number in zip(names, partitions.values(), strict=True)
    )
    wait(lambda: {connection.topic(name) for name in names} <= set(broker.topics()))


def publish(connection: Connection, topic: str, *values: bytes, key: bytes | None = None) -> None:
    """Publish values one by one in transactions, so that there are gaps between their offsets."""
    producer: Producer = connection.producer(transactional_id=f"{connection.prefix}test-{topic}")
    producer.init_transactions(30)
    for value in values:
        producer.begin_transaction()
        producer.produce(connection.topic(topic), value, key)
        producer.commit_transaction(30)


def read(connection: Connection, topic: str) -> list[Message]:
    """Return what is committed in a topic."""
    return [message for batch in read_topics(connection, [topic]) for message in batch]


def wait(until: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
