"""The lake stage: what stands on the topics becomes Parquet files, each message once.

A thread reads the topics as a member of a group. Of each partition it gathers a chunk of messages, writes the chunk's
files, and then lists them in the catalogue: only that makes them count. It begins where the listing ends, so whatever a
crash leaves unlisted is written again, under the same names or beside names that nobody lists. Offsets are committed to
Kafka only so that the lag can be seen.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec.structs import replace

from lake import catalogue
from lake.catalogue import SETTLED_MS, DataFile, Listing, Told, Word
from lake.rows import TOPICS, TRIGGERS, Read, Rows
from lake.store import LakeStore
from schemas.errors import TransientError
from schemas.settings import Settings
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection, milliseconds
from stream.metrics import Metrics

log = logging.getLogger(__name__)

Result = TypeVar("Result")

GROUP = "lake"

CHUNK_BYTES = 64 << 20
"""Bytes of messages gathered for one partition at most."""

ALL_BYTES = 256 << 20
"""Bytes of messages gathered for all partitions at most; then the largest chunk is written."""

QUIET_S = 1.0
"""When nothing has come for so long, what there is is written, so that nobody waits for it,"""

APART_S = 5.0
"""but chunks of a partition that are not full are at least this far apart, or `lake.every` if that is less."""

TELL_S = 5.0
"""How often it is told how far the partitions are complete, also when nothing comes; `lake.every` if that is less."""

ASK_S = 5.0
"""Seconds to wait for the brokers to say where partitions end."""

DRAIN_S = 4.0
"""Seconds at the end to read what is still on its way, so that a lake whose workers were stopped has everything."""

SMALL_FILES = 8
"""So many small files of a table and date a worker merges; fewer are not worth it yet."""

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries when the lake cannot be written; the last one again and again."""


def lake_url(settings: Settings) -> str:
    """Return where the lake is."""
    return settings.lake.url or str(Path(settings.worker.data) / "lake")


class Chunk:
    """What was gathered of one partition since `start`, the offset at which its listing ends."""

    __slots__ = ("bytes", "complete_ms", "end", "messages", "since", "start", "written")

    def __init__(self, start: int, complete_ms: int) -> None:
        self.start = start
        self.end = start
        """The next offset to be read."""
        self.messages: list[Read] = []
        self.bytes = 0
        self.since = 0.0
        """When the first of the messages came."""
        self.complete_ms = complete_ms
        self.written = 0.0

    def add(self, messages: list[Message]) -> None:
        """Take in messages."""
        now = time.monotonic()
        if not self.messages:
            self.since = now
        for message in messages:
            value = message.value()
            offset = int(message.offset() or 0)
            self.messages.append(Read(offset, message.timestamp()[1], message.key(), value))
            self.bytes += 200 if value is None else len(value) + 200
        self.end = int(messages[-1].offset() or 0) + 1


class Written(NamedTuple):
    """What became of a chunk."""

    files: tuple[DataFile, ...]
    rows: int
    wrong: list[tuple[int, str]]


class _ForeignError(Exception):
    """The listing of a partition ends elsewhere: somebody else has written it."""


class LakeStage:
    """Runs on a thread of its own. `failed(error)` hears of what it cannot go on after. `beat` shows that it lives."""

    name = "lake"

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        store: LakeStore,
        worker: str,
        metrics: Metrics,
        failed: Callable[[BaseException], None],
        fault: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._connection = connection
        self._store = store
        self._worker = worker
        self._metrics = metrics
        self._failed = failed
        self._fault = fault  # called at each point where a crash may strike; for tests
        self._rows = settings.lake.rows
        self._every_s = milliseconds(settings.lake.every) / 1000
        every = settings.lake.compact_every
        self._compact_every_s = None if every is None else milliseconds(every) / 1000
        self._keep_replaced_s = milliseconds(settings.lake.keep_replaced) / 1000
        self._compacted = time.monotonic()
        self._to_compact: list[Place] = []
        self._chunks: dict[Place, Chunk] = {}
        self._committed: dict[Place, int] = {}
        self._stopped = threading.Event()
        self._last_message = time.monotonic()
        self._newest_ms = 0  # timestamp of the newest message
        self._told = time.monotonic()
        self._known: dict[Place, Told] = {}
        """What was last told of each partition; it stays true."""
        self._broker: Broker | None = None
        self.beat = time.monotonic()
        self.opening = True
        session_ms = milliseconds(settings.worker.session_timeout)
        self._consumer: Consumer = connection.consumer(
            connection.group(GROUP),
            client_id=worker,
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(500, session_ms // 5),
            max_poll_interval_ms=30 * 60_000,
            queued_max_messages_kbytes=32_768,
            enable_partition_eof=True,
            topic_metadata_refresh_interval_ms=30_000,  # topics of new rules
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lake", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is gathered, and leave the group."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(120)

    @property
    def held(self) -> int:
        """Number of partitions."""
        return len(self._chunks)

    def _run(self) -> None:
        try:
            pattern = self._connection.prefix.replace(".", "\\.")
            fixed = [self._connection.topic(topic) for topic in TOPICS]
            self._consumer.subscribe(
                [*fixed, f"^{pattern}{TRIGGERS.replace('.', chr(92) + '.')}.*"],
                on_assign=self._kept(self._on_assign),
                on_revoke=self._kept(self._on_revoke),
                on_lost=self._kept(self._on_lost),
            )
            while not self._stopped.is_set():
                self._turn()
                if self._error is not None:
                    raise self._error
            self._drain()
            self._tell(stopped=True)
            self._consumer.close()  # gives up the partitions, and so writes what is gathered
            if self._broker is not None:
                self._broker.close()
        except BaseException as error:  # whatever it is, the worker must hear of it
            self._failed(error)

    def _turn(self) -> None:
        self.beat = time.monotonic()
        messages = self._consumer.consume(5_000, 0.2)
        if messages:
            self._take(messages)
        self._write_due()
        self._commit()
        if time.monotonic() - self._told >= min(self._every_s, TELL_S):
            self._tell()
        self._compact_due()

    def _drain(self) -> None:
        """Read on to the ends of the partitions and until nothing new comes, and write it."""
        deadline = time.monotonic() + DRAIN_S
        asked = self._ends() or {}
        while time.monotonic() < deadline and self._chunks:
            self.beat = time.monotonic()
            behind = any(place in self._chunks and self._chunks[place].end < end for place, end in asked.items())
            if not behind and time.time() * 1000 - self._newest_ms > SETTLED_MS:
                break
            self._take(self._consumer.consume(5_000, 0.1))
        self._write_all([place for place, chunk in self._chunks.items() if chunk.messages])

    def _take(self, messages: list[Message]) -> None:
        """Give each message to the chunk of its partition."""
        found: dict[Place, list[Message]] = {}
        for message in messages:
            error = message.error()
            place = (str(message.topic()), int(message.partition() or 0))
            if error is None:
                found.setdefault(place, []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                chunk = self._chunks.get(place)
                if chunk is not None:
                    if place in found:
                        chunk.add(found.pop(place))
                    chunk.end = max(chunk.end, int(message.offset() or 0))
                    if not chunk.messages:  # behind the last message there may be marks of transactions
                        self._committed[place] = chunk.end
            elif error.fatal():
                raise KafkaException(error)
            elif error.code() != KafkaError._MAX_POLL_EXCEEDED:
                log.warning("lake: reading: %s", error.str())
        for place, some in found.items():
            chunk = self._chunks.get(place)
            if chunk is not None:
                chunk.add(some)
        written = [message.timestamp()[1] for message in messages if message.error() is None]
        if written:
            self._last_message = time.monotonic()
            self._newest_ms = max(self._newest_ms, *written)

    def _ends(self) -> dict[Place, int] | None:
        """Return where the partitions end, open transactions counted in; None if no broker says it."""
        if self._broker is None:
            self._broker = Broker(self._connection, ASK_S)
        try:
            return self._broker.ends(list(self._chunks), committed_only=False)
        except TransientError as error:
            log.debug("lake: %s", error)
            return None

    def _tell(self, stopped: bool = False) -> None:
        """Tell up to when the partitions are complete of which everything is listed, and whether this is the end."""
        self._told = time.monotonic()
        now_ms = int(time.time() * 1000)  # before the ends are asked for
        ends = self._ends()
        if ends is None:
            return
        for place, chunk in self._chunks.items():
            if not chunk.messages and chunk.end >= ends.get(place, 0):
                self._known[place] = Told(self._connection.bare(place[0]), place[1], chunk.start, now_ms)
        try:
            told = tuple(told for _, told in sorted(self._known.items()))
            catalogue.tell(self._store, self._worker, Word(now_ms, stopped, told))
        except TransientError as error:  # the next time will do
            log.warning("lake: %s", error)

    # When to write

    def _write_due(self) -> None:
        now = time.monotonic()
        quiet = now - self._last_message > QUIET_S
        apart_s = min(self._every_s, APART_S)
        due = []
        for place, chunk in self._chunks.items():
            if chunk.messages:
                full = len(chunk.messages) >= self._rows or chunk.bytes >= CHUNK_BYTES
                old = now - chunk.since >= self._every_s
                if full or old or (quiet and now - chunk.written >= apart_s):
                    due.append(place)
        self._write_all(due)
        while sum(chunk.bytes for chunk in self._chunks.values()) > ALL_BYTES:
            self._write_all([max(self._chunks, key=lambda place: self._chunks[place].bytes)])

    def _write_all(self, places: Iterable[Place]) -> None:
        for place in places:
            if not self._write(place, self._chunks[place]):
                self._begin_again(place)

    # Writing

    def _write(self, place: Place, chunk: Chunk) -> bool:
        """Write a chunk, again and again until it succeeds; then begin the next one.

        Returns False if the listing no longer ends where the chunk begins.
        """
        topic, partition = self._connection.bare(place[0]), place[1]
        began = time.perf_counter()
        try:
            written = self._patiently(f"{topic} [{partition}]", lambda: self._try(topic, partition, chunk))
        except _ForeignError:
            return False
        if written is None:
            return True
        for offset, wrong in written.wrong:
            log.error(
                "lake: %s [%d] at %d cannot be read: %s; it stands in deadletters", topic, partition, offset, wrong
            )
        size = sum(file.bytes for file in written.files)
        self._metrics.lake_wrote(written.rows, len(written.files), size, time.perf_counter() - began)
        chunk.start = chunk.end
        chunk.messages = []
        chunk.bytes = 0
        chunk.written = time.monotonic()
        self._committed[place] = chunk.end
        return True

    def _patiently(self, what: str, work: Callable[[], Result]) -> Result | None:
        """Do something with the lake, again and again until it succeeds; None if the stage is stopped before."""
        waits = itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1]))
        while True:
            try:
                return work()
            except (TransientError, OSError) as error:
                wait_s = next(waits)
                log.error("lake: %s: %s; tried again in %g s", what, error, wait_s)
                self._metrics.lake_failed()
                self.beat = time.monotonic()
                if self._stopped.wait(wait_s):
                    return None

    def _try(self, topic: str, partition: int, chunk: Chunk) -> Written:
        rows = Rows(topic, partition, self._connection.bare)
        rows.add(chunk.messages)
        files = []
        last = chunk.end - 1
        for table, date, found in rows.tables():
            path = catalogue.data_path(table.name, date, topic, partition, chunk.start, last)
            self._fault("before a file")
            size = self._store.write_table(path, found)
            files.append(DataFile(table.name, path, chunk.start, last, found.num_rows, size))
        self._fault("before the listing")
        if chunk.messages:  # complete up to the last message, less what may have overtaken it
            chunk.complete_ms = max(chunk.complete_ms, chunk.messages[-1].written_ms - 1_000)

        def change(before: Listing) -> Listing:
            if before.end != chunk.start:
                raise _ForeignError
            complete_ms = max(before.complete_ms, chunk.complete_ms)
            return replace(before, end=chunk.end, complete_ms=complete_ms, files=(*before.files, *files))

        catalogue.update(self._store, topic, partition, change)
        self._fault("after the listing")
        return Written(tuple(files), sum(file.rows for file in files), rows.wrong)

    def _begin_again(self, place: Place) -> None:
        """Go on where the listing ends by now."""
        listing = catalogue.read(self._store, self._connection.bare(place[0]), place[1])
        log.warning("lake: %s [%d] was written by another worker up to %d", place[0], place[1], listing.end)
        self._chunks[place] = Chunk(listing.end, listing.complete_ms)
        self._consumer.seek(TopicPartition(*place, listing.end or OFFSET_BEGINNING))

    def _commit(self) -> None:
        """Tell Kafka how far the lake has come."""
        if not self._committed:
            return
        offsets = [TopicPartition(*place, end) for place, end in self._committed.items() if place in self._chunks]
        self._committed.clear()
        try:
            if offsets:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # the next chunk's will say it
            log.debug("lake: offsets not committed: %s", error)

    # Tidying up

    def _compact_due(self) -> None:
        """Merge small files of a partition now and then; one group of them at a time, the chunks come first."""
        if self._compact_every_s is None:
            return
        if self._to_compact:
            place = self._to_compact.pop()
            if place in self._chunks:
                self._patiently(f"{place[0]} [{place[1]}]", lambda: self._compact(place))
        elif time.monotonic() - self._compacted > self._compact_every_s:
            self._compacted = time.monotonic()
            self._to_compact = list(self._chunks)

    def _compact(self, place: Place) -> None:
        from lake import compact  # takes half a second of a worker's start, and is needed once an hour

        bare = self._connection.bare(place[0]), place[1]
        chosen = compact.groups([catalogue.read(self._store, *bare)], least=SMALL_FILES)
        if chosen:
            done = compact.compact(self._store, chosen[:1])
            self._metrics.lake_compacted(done.files)
            if len(chosen) > 1:
                self._to_compact.append(place)
        gone = compact.sweep_replaced(self._store, catalogue.read(self._store, *bare), self._keep_replaced_s)
        if gone:
            log.info("lake: %s [%d]: %d replaced files removed", *bare, len(gone))

    # Partitions come and go

    def _kept(self, callback: Callable[[Consumer, list[TopicPartition]], None]) -> Callable[..., None]:
        """Return the callback with its error kept for this thread: confluent-kafka does not hand every one on."""

        def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except BaseException as error:
                self._error = error

        return call

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.opening = bool(partitions)
        if not partitions:
            return
        broker = Broker(self._connection)
        kept = broker.beginnings([(place.topic, place.partition) for place in partitions])
        broker.close()
        for place in partitions:
            first = kept[place.topic, place.partition]
            chunk = self._patiently(f"{place.topic} [{place.partition}]", lambda: self._chunk(place, first))  # noqa: B023
            if chunk is None:
                return
            self._chunks[place.topic, place.partition] = chunk
            place.offset = chunk.start or OFFSET_BEGINNING
        consumer.incremental_assign(partitions)
        log.info("lake: takes %d partitions, has %d", len(partitions), len(self._chunks))
        self.opening = False

    def _chunk(self, place: TopicPartition, first: int) -> Chunk:
        """Return an empty chunk that begins where the listing ends, or at the first message that Kafka still has."""
        topic = self._connection.bare(place.topic)
        listing = catalogue.read(self._store, topic, place.partition)
        if first > listing.end:
            if listing.end:
                log.error(
                    "lake: %s [%d]: messages %d to %d were removed from Kafka before the lake had them",
                    *(place.topic, place.partition, listing.end, first - 1),
                )
                self._metrics.lake_missed(first - listing.end)
            skip = partial(_skipped, end=first)
            listing = catalogue.update(self._store, topic, place.partition, skip)
        return Chunk(listing.end, listing.complete_ms)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(place.topic, place.partition) for place in partitions]
        for place in places:
            if place in self._chunks and self._chunks[place].messages:
                self._write(place, self._chunks[place])
        self._commit()
        self._forget(places)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget([(place.topic, place.partition) for place in partitions])
        consumer.incremental_unassign(partitions)

    def _forget(self, places: Iterable[Place]) -> None:
        for place in places:
            self._chunks.pop(place, None)
            self._committed.pop(place, None)


def _skipped(before: Listing, end: int) -> Listing:
    """Return the listing of a partition whose earliest messages are gone."""
    return replace(before, end=max(before.end, end))
