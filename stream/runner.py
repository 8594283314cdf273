"""Runs one bulk stage: batches in by a channel, work, and one transaction for each; on an abort back to what counts.

While a batch is being committed the next one is worked on, unless the stage says that it cannot go back by halves.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from confluent_kafka import Message, TopicPartition

from schemas.errors import StateError
from schemas.settings import Settings
from stream.batches import IN_FLIGHT, Batch, BatchSource, Place
from stream.connection import Connection
from stream.faust_app import BatchChannel
from stream.metrics import Metrics
from stream.transaction import Aborted, Outbox, Transactions

log = logging.getLogger(__name__)

Spot = tuple[str, int, int]
"""Topic, partition, offset."""


class Work(Protocol):
    """What a stage does. All but `open` and `close` run on the loop's thread.

    `at` is the message being worked on. `held_back` says that a batch should wait a little, because the stage that
    gets its results has much to do already. `process` works a batch off; messages at the spots of `broken` made it fail
    before and are to be put aside. `tick` does what is due by the clock, None if nothing is. After each commit
    `committed` is called, in the order of the batches, with the last offset in each partition of the changelog;
    `forget` goes back to what is committed.
    """

    name: str
    topics: list[str]
    merged: bool
    pipelined: bool
    ticks: bool
    at: Message | None

    def open(self, places: list[TopicPartition]) -> None: ...  # noqa: D102
    def close(self, places: list[Place]) -> None: ...  # noqa: D102
    def held_back(self) -> bool: ...  # noqa: D102
    def process(self, messages: list[Message], broken: set[Spot]) -> Outbox: ...  # noqa: D102
    def tick(self) -> Outbox | None: ...  # noqa: D102
    def committed(self, delivered: Mapping[int, int]) -> None: ...  # noqa: D102
    def forget(self) -> None: ...  # noqa: D102


TICK_S = 0.1
"""Seconds between two looks at the clock: a trigger is late by at most this and the clock's own delay."""


HELD_BACK_S = 1.0
"""Seconds for which a batch is held back at most,"""

LOOK_S = 0.005
"""looking so often whether it may go on."""


class Runner:
    """One stage of one worker. `failed` is told of what only a fresh start can mend."""

    def __init__(
        self,
        work: Work,
        connection: Connection,
        settings: Settings,
        worker: str,
        address: str,
        metrics: Metrics,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.work = work
        self.name = work.name
        self._connection = connection
        self._settings = settings
        self._worker = worker
        self._address = address
        self._metrics = metrics
        self._failed = failed
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"commit {work.name}")
        self._pending: tuple[asyncio.Future[tuple[float, dict[int, int]]], dict[Place, int]] | None = None
        self._positions: dict[Place, int] = {}  # what is committed; a batch that may yet be aborted is not in it
        self._broken: set[Spot] = set()
        self._channel: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transactions: Transactions | None = None
        self.source: BatchSource | None = None
        self._ticker: asyncio.Task[None] | None = None

    def attach(self, app: Any) -> None:
        """Add the stage's channel and agent to the Faust app."""
        self._channel = BatchChannel(app, maxsize=IN_FLIGHT)
        app.agent(self._channel, name=f"{app.conf.id}-{self.name}")(self._agent)

    async def start(self) -> None:
        """Begin to read; the app must run."""
        self._loop = asyncio.get_running_loop()
        worker = self._settings.worker
        self._transactions = await self._loop.run_in_executor(
            self._pool,
            Transactions,
            self._connection,
            f"{self._connection.group(self.name)}.{self._worker}",
            worker.transaction_timeout,
        )
        self.source = BatchSource(
            self._connection,
            worker,
            self._connection.group(self.name),
            f"{self._worker}@{self._address}",
            [self._connection.topic(topic) for topic in self.work.topics],
            self._deliver,
            self._opened,
            self._closed,
            self._failed,
            merged=self.work.merged,
        )
        self.source.start()
        if self.work.ticks:
            self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Leave the group once what is under way is committed."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self.source is not None and self._loop is not None:
            await self._loop.run_in_executor(None, self.source.stop)
        self._pool.shutdown(wait=True)

    def _deliver(self, batch: Batch) -> None:
        assert self._loop is not None  # noqa: S101  start() has set it
        future: Future[Any] = asyncio.run_coroutine_threadsafe(self._channel.put(batch), self._loop)
        future.result()

    def _opened(self, places: list[TopicPartition]) -> None:
        self._metrics.rebalanced(self.name)
        log.info("%s: takes %s", self.name, _listed((place.topic, place.partition) for place in places))
        self.work.open(places)
        for place in places:
            if place.offset >= 0:
                self._positions[place.topic, place.partition] = place.offset

    def _closed(self, places: list[Place]) -> None:
        log.info("%s: gives up %s", self.name, _listed(places))
        for place in places:
            self._positions.pop(place, None)
        self.work.close(places)

    async def _agent(self, stream: Any) -> None:
        async for batch in stream:
            try:
                await self._handle(batch)
                # Nothing may stay uncommitted while nothing comes: whoever waits for it would wait for ever.
                if self._channel.queue.empty():
                    await self._settle()
            except BaseException as error:
                self._failed(error)
                raise

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self.source is not None and self._pending is None and self._channel.queue.empty():
                epoch = self.source.begin()
                if epoch is not None:
                    await self._channel.put(Batch(epoch, []))

    async def _handle(self, batch: Batch) -> None:
        source = self.source
        assert source is not None  # noqa: S101  batches come from it
        if not self.work.pipelined:
            await self._settle()
        if batch.messages and self.work.held_back():
            await self._settle()
            until = time.monotonic() + HELD_BACK_S
            while self.work.held_back() and time.monotonic() < until and not source.leaving:
                await asyncio.sleep(LOOK_S)
        if batch.epoch != source.epoch:
            source.done()
            return
        started = time.perf_counter()
        outbox = await self._process(batch) if batch.messages else self.work.tick()
        if outbox is None:
            source.done()
            return
        self._metrics.batch(self.name, len(batch.messages), time.perf_counter() - started)
        await self._settle()
        if batch.epoch != source.epoch:
            self.work.forget()
            source.done()
            return
        offsets = _ends(batch.messages)
        if not offsets:
            offsets = self._held(source)
        assert self._loop is not None  # noqa: S101
        self._pending = (self._loop.run_in_executor(self._pool, self._commit, outbox, offsets), offsets)

    def _held(self, source: BatchSource) -> dict[Place, int]:
        """Return the committed offsets of the partitions held.

        A transaction without input commits them again, since a worker that lost its partitions is fenced by that.
        """
        reached = source.reached
        return {
            place: max(offset, reached.get(place, 0))
            for place, offset in self._positions.items()
            if place in source.assigned
        }

    async def _process(self, batch: Batch) -> Outbox | None:
        """Work a batch off; a message that breaks the work is put aside, and the batch worked off without it."""
        while True:
            try:
                return self.work.process(batch.messages, self._broken)
            except StateError:
                raise
            except Exception as error:
                message = self.work.at
                if message is None or message.topic() is None:
                    raise
                spot = (str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
                if spot in self._broken:
                    raise
                log.exception("%s: %s [%d] at %d cannot be worked off: %s", self.name, *spot, error)
                await self._settle()
                self.work.forget()
                self._broken.add(spot)
                if self.source is not None and batch.epoch != self.source.epoch:
                    return None

    def _commit(self, outbox: Outbox, offsets: dict[Place, int]) -> tuple[float, dict[int, int]]:
        assert self._transactions is not None  # noqa: S101
        assert self.source is not None  # noqa: S101
        started = time.perf_counter()
        ends = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        delivered = self._transactions.commit(outbox, ends, self.source.group)
        return time.perf_counter() - started, delivered

    async def _settle(self) -> None:
        """Wait for the commit that is under way, and make it count or undo what it was about."""
        if self._pending is None:
            return
        (future, offsets), self._pending = self._pending, None
        source = self.source
        assert source is not None  # noqa: S101
        try:
            seconds, delivered = await future
        except Aborted as error:
            log.warning("%s: %s", self.name, error)
            self._metrics.aborted(self.name)
            source.go_back()
            self.work.forget()
        else:
            self._positions |= offsets
            self._metrics.committed(self.name, seconds)
            self.work.committed(delivered)
        finally:
            source.done()


def _ends(messages: list[Message]) -> dict[Place, int]:
    """Return for each partition the offset after its last message."""
    ends: dict[Place, int] = {}
    for message in messages:
        place = (str(message.topic()), int(message.partition() or 0))
        ends[place] = max(ends.get(place, 0), int(message.offset() or 0) + 1)
    return ends


def _listed(places: Any) -> str:
    by_topic: dict[str, list[int]] = {}
    for topic, partition in places:
        by_topic.setdefault(topic, []).append(partition)
    return "; ".join(f"{topic} {sorted(found)}" for topic, found in sorted(by_topic.items()))
