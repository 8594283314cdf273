"""The resolve stage, live: the one writer of the identity graph of a space.

Its topic has one partition, so that one worker of the group has it and the others stand by. What the graph is, is the
compacted topic `identity.graph`; a store of people beside it makes a start fast, and holds whoever is not in memory.
"""

import logging
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from confluent_kafka import Message, TopicPartition

from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from schemas.settings import Settings
from stream.batches import Place
from stream.changelog import read_to_end
from stream.connection import Connection
from stream.dead_letters import dead_letter
from stream.graph_log import input_record
from stream.graph_rows import DiskRows
from stream.live_graph import LiveGraph, open_rows
from stream.messages import PartChange, Request
from stream.metrics import Metrics
from stream.originals import Originals
from stream.public import identity_change
from stream.runner import Spot
from stream.transaction import Outbox
from stream.wire import decode, encode, encode_event, ends, partition_of

log = logging.getLogger(__name__)


class ResolveWork:
    """Adds the evidence of requests to the graph, tells the profile stage what moves, and sends the events on."""

    name = "resolve"
    merged = False
    pipelined = False  # the graph goes back by one batch, not by two
    ticks = False

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        metrics: Metrics,
        partitions: int,
        graph_partitions: int,
        data: Path,
    ) -> None:
        self.topics = ["identity.requests"]
        self.at: Message | None = None
        self._settings = settings
        self._connection = connection
        self._metrics = metrics
        self._partitions = partitions
        self._graph_partitions = graph_partitions
        self._data = data
        self._rows: DiskRows | None = None
        self._policy = Policy.from_settings(settings)
        self.graph: LiveGraph | None = None
        self._originals = Originals(connection)
        self._identified = connection.topic("events.identified")
        self._graph_topic = connection.topic("identity.graph")
        self._changes = connection.topic("identity.changes")
        self._deadletter = connection.topic("events.deadletter")

    def open(self, places: list[TopicPartition]) -> None:
        """Restore the graph as it is committed."""
        started = time.perf_counter()
        self._rows = open_rows(self._data / "resolver")
        most = self._settings.worker.identifiers_in_memory
        graph = LiveGraph(self._policy, self._settings.space, self._rows, most, self._data)
        starts = {(self._graph_topic, number): graph.offsets.get(number, 0) for number in range(self._graph_partitions)}
        count = 0
        for (_, number), records, offset in read_to_end(self._connection, starts):
            for key, value in records:
                graph.apply(key, value)
            count += len(records)
            graph.offsets[number] = offset
        graph.verify()
        seconds = time.perf_counter() - started
        self._metrics.restored("resolve", count, seconds)
        log.info("resolve: %d records of the identity graph read in %.1f s", count, seconds)
        self.graph = graph

    def close(self, places: list[Place]) -> None:
        """Let the graph go: another worker writes it from now on."""
        if self.graph is not None:
            self.graph.file()
        if self._rows is not None:
            self._rows.close()
        self.graph = self._rows = None

    def size_bytes(self) -> int:
        """Return what the store takes on disk."""
        rows = self._rows
        return 0 if rows is None else rows.size_bytes()

    def held_back(self) -> bool:
        """Return False: it waits for nobody."""
        return False

    def process(self, messages: list[Message], broken: set[Spot]) -> Outbox:
        """Return changes, events on their way, new rows of the graph and what is to be told about people."""
        graph = self.graph
        if graph is None:
            raise StateError("requests came before the graph was restored: start the worker again")
        outbox = Outbox(self._graph_topic)
        merged = split = refused = 0
        graph.mark()
        for message in messages:
            self.at = message
            raw = message.value() or b""
            try:
                request = decode(raw)
                if not isinstance(request, Request):
                    raise msgspec.DecodeError("it is no event")
            except msgspec.MsgspecError as error:
                self._refuse(outbox, message, raw, str(error))
                continue
            event = request.event
            if broken and (message.topic(), message.partition(), message.offset()) in broken:
                self._refuse_event(outbox, message, event)
                continue
            resolution = graph.observe(event)
            for change in resolution.changes:
                merged += change.kind == "merged"
                split += change.kind == "split"
                refused += change.kind == "refused"
                outbox.add(self._changes, change.one_id, identity_change(change))
            if resolution.moves:
                command = PartChange(graph.next_step(), event.time_ms, resolution.moves)
                value = encode(command)
                for partition in sorted({partition_of(one_id, self._partitions) for one_id in ends(command)}):
                    outbox.add(self._identified, None, value, partition)
            if resolution.one_id is not None and event.idents:
                one_id = resolution.one_id
                outbox.add(
                    self._identified, one_id, encode_event(event, one_id), partition_of(one_id, self._partitions)
                )
        written = set()
        for key, row in graph.changed():
            partition = zlib.crc32(key) % self._graph_partitions
            written.add(partition)
            outbox.add(self._graph_topic, key, row, partition)
        if messages:
            for partition in sorted(written or {0}):  # who follows the graph also hears of what changed nothing
                key, row = input_record((messages[-1].offset() or 0) + 1)
                outbox.add(self._graph_topic, key, row, partition)
        self._metrics.people_changed(merged, split, refused)
        return outbox

    def tick(self) -> Outbox | None:
        """Nothing is due by the clock here."""
        return None

    def committed(self, delivered: Mapping[int, int]) -> None:
        """Note how much of the graph's topic the graph has."""
        if self.graph is not None:
            self.graph.committed(delivered)

    def forget(self) -> None:
        """Go back by the batch that was aborted."""
        if self.graph is not None:
            self.graph.rollback()

    def _refuse_event(self, outbox: Outbox, message: Message, event: Event) -> None:
        """Make a dead letter of an event that broke the stage, with its bytes from where it came."""
        source = event.source
        if source is None:  # nothing of ours wrote it
            self._refuse(outbox, message, message.value() or b"", "the event broke the resolve stage")
            return
        found = self._originals.fetch([source]).get((source.topic, source.partition, source.offset))
        key, raw = (None, encode_event(event, None)) if found is None else found
        topic = self._connection.bare(source.topic)
        detail = "the event broke the resolve stage"
        outbox.add(self._deadletter, key, dead_letter("failed", detail, topic, source.partition, source.offset, raw))
        self._metrics.refused("failed")

    def _refuse(self, outbox: Outbox, message: Message, raw: bytes, why: str) -> None:
        place = message.partition() or 0, message.offset() or 0
        value = dead_letter("failed", f"a message of the resolver: {why}", "identity.requests", *place, raw)
        outbox.add(self._deadletter, message.key(), value)
        self._metrics.refused("failed")
