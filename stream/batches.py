"""A stage's input: a thread of its own that reads Kafka in batches and hands each to the stage's agent.

When input is scarce a batch is what is there, under load it is as large as the settings allow. At most two batches are
on their way, so that one is worked on while the other is committed. Partitions come and go (cooperatively, so that
those which stay are not interrupted): before one goes, what is under way is committed.

With `merged`, messages of all partitions come in the order of their timestamps, as far as they can be had: a partition
that has more to give is waited for. Else a backlog would be read one partition after the other, and a person's events
in any order.
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.live_settings import WorkerSettings
from stream.connection import Connection, milliseconds

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Batches between this thread and their commit."""

MERGED = 100_000
"""Messages that wait for slower partitions at most; then order gives way to progress."""

RECENT_MS = 2_000
"""A message younger than this is not made to wait for others: there is no backlog, and latency comes first."""

PATIENCE_S = 1.0
"""Seconds for which a partition is waited for."""

Place = tuple[str, int]
"""Topic and partition."""


RESTORE_MS = 4 * 3_600_000
"""How long a worker may take to restore what it takes over, which it does before it reads on: a graph of a hundred
million people from nothing. Whoever is dead is known by its session's end, much sooner."""


class Batch:
    """Messages, none of them an error; `epoch` tells whether the stage went back since it was read."""

    __slots__ = ("epoch", "messages")

    def __init__(self, epoch: int, messages: list[Message]) -> None:
        self.epoch = epoch
        self.messages = messages


class BatchSource:
    """Reads the topics as a member of a group.

    `deliver(batch)` hands a batch over and blocks while there is no room. `opened(places)` prepares partitions that
    came, before any of their messages is delivered; `closed(places)` ends those that go. Both run on this thread.
    `failed(error)` hears of what this thread cannot go on after.
    """

    def __init__(
        self,
        connection: Connection,
        settings: WorkerSettings,
        group: str,
        client_id: str,
        topics: Sequence[str],
        deliver: Callable[[Batch], None],
        opened: Callable[[list[TopicPartition]], None],
        closed: Callable[[list[Place]], None],
        failed: Callable[[BaseException], None],
        merged: bool = False,
    ) -> None:
        session_ms = milliseconds(settings.session_timeout)
        self._consumer: Consumer = connection.consumer(
            group,
            client_id=client_id,
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(500, session_ms // 5),
            max_poll_interval_ms=RESTORE_MS,
            queued_max_messages_kbytes=65_536,
            fetch_max_bytes=16 << 20,
            max_partition_fetch_bytes=1 << 20,
            enable_partition_eof=True,
        )
        self._topics = list(topics)
        self._size = settings.batch
        self._deliver = deliver
        self._opened = opened
        self._closed = closed
        self._failed = failed
        self._merger = Merger() if merged else None
        self._ends: dict[Place, int] = {}
        self._changed = threading.Condition()
        self._in_flight = 0
        self._rewind = False
        self._rebalancing = False
        self._rebalanced = False
        self._running = True
        self._error: BaseException | None = None
        self.epoch = 0
        self.group: Any = None
        """What fences a transaction of a worker that lost its partitions; asking for it in a rebalance would block."""
        self.assigned: set[Place] = set()
        self.reached: dict[Place, int] = {}
        """Ends that were committed, behind the last message: no commit may go back behind them."""
        self.opening = True
        """Whether its first partitions are yet to come, or the state of some is being restored."""
        self.beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"read {group}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; what was delivered is still awaited. Returns when the group is left."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        if self._thread.ident is not None:  # it was started
            self._thread.join(60)

    @property
    def leaving(self) -> bool:
        """Whether partitions, or the group, are given up as soon as what was delivered has come to its end."""
        return self._rebalancing or not self._running

    def begin(self) -> int | None:
        """Begin a batch without messages; return its epoch, or None if it is no good moment."""
        with self._changed:
            if self._in_flight >= IN_FLIGHT or self._rewind or self._rebalancing or not self._running:
                return None
            self._in_flight += 1
            return self.epoch

    def done(self) -> None:
        """Say that a batch is committed, or dropped."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def go_back(self) -> None:
        """Read again from what is committed; batches of the former epoch must be dropped."""
        with self._changed:
            self.epoch += 1
            self._rewind = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                self._topics,
                on_assign=self._kept(self._on_assign),
                on_revoke=self._kept(self._on_revoke),
                on_lost=self._kept(self._on_lost),
            )
            while self._running:
                self._turn()
                if self._error is not None:
                    raise self._error
            self._idle(30)
            self._consumer.close()
        except BaseException as error:  # whatever it is, the worker must hear of it
            self._failed(error)

    def _kept(self, callback: Callable[[Consumer, list[TopicPartition]], None]) -> Callable[..., None]:
        """Return the callback with its error kept for this thread: confluent-kafka does not hand every one on."""

        def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except BaseException as error:
                self._error = error

        return call

    def _turn(self) -> None:
        self.beat = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._may_read() or not self._running, 0.5)
            if not self._may_read():
                return
        if self._rewind:
            self._seek_committed()
        self._rebalanced = False
        messages = self._read()
        if self._rebalanced or messages:
            self.group = self._consumer.consumer_group_metadata()
        if self._rebalanced and (messages or (self._merger is not None and self._merger.count)):
            # Of a partition that went and came again some may have been read twice, of one that went too much.
            with self._changed:
                self._rewind = True
            return
        if messages:
            with self._changed:
                if self._rewind:  # meanwhile what came before was aborted: all of it is read again
                    return
                self._in_flight += 1
                batch = Batch(self.epoch, messages)
            self._deliver(batch)
        elif self._ends:
            self._commit_ends()

    def _may_read(self) -> bool:
        """Whether there is room for a batch; to go back, everything before must have come to its end."""
        return self._in_flight < (1 if self._rewind else IN_FLIGHT)

    def _commit_ends(self) -> None:
        """Commit the very end of partitions where only the markers of transactions follow the last message.

        So an offset below the end always means that there is something to do.
        """
        with self._changed:
            # After an abort there is something to do again, whatever was read.
            if self._in_flight or self._rewind or (self._merger is not None and self._merger.count):
                return
            self._in_flight = IN_FLIGHT  # so that no batch begins meanwhile, whose commit could go back behind these
        ends = {place: offset for place, offset in self._ends.items() if place in self.assigned}
        self._ends.clear()
        try:
            if ends:
                offsets = [TopicPartition(*place, offset) for place, offset in ends.items()]
                self._consumer.commit(offsets=offsets, asynchronous=False)
                self.reached |= ends
        except KafkaException as error:  # it is done again at the next end
            log.info("an end was not committed: %s", error.args[0].str())
        finally:
            with self._changed:
                self._in_flight = 0
                self._changed.notify_all()

    def _read(self) -> list[Message]:
        """Return the next messages; none if there were none for a while."""
        merger = self._merger
        if merger is None:
            found = self._consumer.consume(1, 0.1)
            if not found:
                return []
            return self._good(found + self._consumer.consume(self._size - 1, 0))
        taken: list[Message] = []
        while True:
            found = self._consumer.consume(self._size, 0) or self._consumer.consume(1, 0.05)
            merger.add(self._good(found, merger))
            taken += merger.take(self._size - len(taken))
            if not found or len(taken) >= self._size or (taken and not merger.waits):
                return taken

    def _good(self, messages: list[Message], merger: "Merger | None" = None) -> list[Message]:
        """Return the messages that are no errors; raise those after which nothing will come any more."""
        good: list[Message] = []
        ends = self._ends
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
                if ends:
                    ends.pop((str(message.topic()), int(message.partition() or 0)), None)
            elif error.code() == KafkaError._PARTITION_EOF:
                place = (str(message.topic()), int(message.partition() or 0))
                offset = int(message.offset() or 0)
                if offset:
                    ends[place] = offset
                if merger is not None:
                    merger.add(good)
                    good = []
                    merger.at_end(place)
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("reading: %s", error.str())
        return good

    def _idle(self, timeout_s: float) -> bool:
        """Wait until everything delivered is committed or dropped."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight <= 0, timeout_s)

    def _seek_committed(self) -> None:
        """Go back to what is committed, on every partition held."""
        self._ends.clear()
        self.reached.clear()
        places = [TopicPartition(topic, partition) for topic, partition in sorted(self.assigned)]
        if places:
            for place in self._consumer.committed(places, 60):
                place.offset = OFFSET_BEGINNING if place.offset < 0 else place.offset
                self._seek(place)
        if self._merger is not None:
            self._merger.clear(self.assigned)
        self._rewind = False

    def _seek(self, place: TopicPartition) -> None:
        for wait in (0.05, 0.1, 0.2, 0.5, 1.0, 0.0):
            try:
                self._consumer.seek(place)
            except KafkaException:  # a partition that has only just come cannot be sought yet
                if not wait:
                    raise
                time.sleep(wait)
            else:
                return

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Offsets first: they are stable only when no transaction of a former owner is open, and only then is the
        # changelog complete.
        if not partitions:
            self.opening = False
            return
        self.opening = True
        committed = consumer.committed(partitions, 120)
        for place in committed:
            place.offset = OFFSET_BEGINNING if place.offset < 0 else place.offset
        self._opened(committed)
        consumer.incremental_assign(committed)
        places = {(place.topic, place.partition) for place in committed}
        self.assigned |= places
        self._rebalanced = True
        if self._merger is not None:
            self._merger.opened(places)
        self.opening = False

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._leave(partitions, lost=False)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._leave(partitions, lost=True)
        consumer.incremental_unassign(partitions)

    def _leave(self, partitions: list[TopicPartition], lost: bool) -> None:
        """Let what is under way be committed, unless it is fenced already; then give the partitions up."""
        with self._changed:
            self._rebalancing = True
        try:
            if lost or not self._idle(30):
                self.go_back()
                self._idle(30)
            self._gone(partitions)
        finally:
            with self._changed:
                self._rebalancing = False

    def _gone(self, partitions: list[TopicPartition]) -> None:
        places = [(place.topic, place.partition) for place in partitions]
        self._rebalanced = True
        self.assigned.difference_update(places)
        for place in places:
            self._ends.pop(place, None)
            self.reached.pop(place, None)
        if self._merger is not None:
            self._merger.closed(places)
        self._closed(places)


class Merger:
    """Messages of several partitions, given out in the order of their timestamps."""

    def __init__(self) -> None:
        self._waiting: dict[Place, deque[Message]] = {}
        self._empty: set[Place] = set()  # partitions with nothing here that may have more to give
        self._ended: set[Place] = set()  # partitions of which all there is was read
        self._heads: list[tuple[int, int, Place]] = []
        self.count = 0
        self.waits = False
        """Whether the last ones were given out up to a partition that may have earlier messages than the others."""
        self._serial = 0
        self._blocked_at = 0.0

    def opened(self, places: set[Place]) -> None:
        """Take in partitions, of which messages may come."""
        for place in places:
            self._waiting.setdefault(place, deque())
            self._empty.add(place)

    def closed(self, places: Sequence[Place]) -> None:
        """Forget partitions and what was read of them."""
        for place in places:
            self.count -= len(self._waiting.pop(place, ()))
            self._empty.discard(place)
            self._ended.discard(place)
        self._heads = [head for head in self._heads if head[2] in self._waiting]
        heapq.heapify(self._heads)

    def clear(self, places: set[Place]) -> None:
        """Begin again with these partitions."""
        self.closed(list(self._waiting))
        self.opened(places)

    def add(self, messages: list[Message]) -> None:
        """Take in messages of partitions that are open."""
        for message in messages:
            place = (str(message.topic()), int(message.partition() or 0))
            queue = self._waiting.get(place)
            if queue is None:
                continue
            if not queue:
                self._serial += 1
                heapq.heappush(self._heads, (message.timestamp()[1], self._serial, place))
                self._empty.discard(place)
            self._ended.discard(place)
            queue.append(message)
            self.count += 1

    def at_end(self, place: Place) -> None:
        """Note that a partition has nothing more just now."""
        self._ended.add(place)
        self._empty.discard(place)

    def take(self, size: int) -> list[Message]:
        """Return the earliest messages; none while an earlier one may come from another partition.

        They are `size`, and up to as many more if they are of the same millisecond: whoever gets them can order those.
        """
        taken: list[Message] = []
        last = 0
        heads, waiting = self._heads, self._waiting
        recent_ms = int(time.time() * 1000) - RECENT_MS
        self.waits = False
        while heads and len(taken) < 2 * size:
            timestamp, _, place = heads[0]
            if len(taken) >= size and timestamp != last:
                break
            if self._empty and timestamp < recent_ms and self._patient():
                self.waits = True
                break
            queue = waiting[place]
            taken.append(queue.popleft())
            last = timestamp
            if queue:
                self._serial += 1
                heapq.heapreplace(heads, (queue[0].timestamp()[1], self._serial, place))
            else:
                heapq.heappop(heads)
                if place not in self._ended:
                    self._empty.add(place)
        self.count -= len(taken)
        if taken:
            self._blocked_at = 0.0
        return taken

    def _patient(self) -> bool:
        """Whether to wait for partitions that may have more: not for ever, and not with too much in memory."""
        if self.count >= MERGED:
            return False
        now = time.monotonic()
        if self._blocked_at == 0.0:
            self._blocked_at = now
        return now - self._blocked_at < PATIENCE_S
