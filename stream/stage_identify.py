"""The identify stage, live: raw bytes become events on their way to a person, to the resolver, or dead letters."""

import math
import time
from collections import deque
from collections.abc import Mapping

from confluent_kafka import Message, TopicPartition

from ingest.admit import Admission
from schemas.errors import InvalidEvent
from schemas.event import Event, Source
from schemas.settings import Settings
from schemas.topics import TOPICS
from stream.batches import Place
from stream.connection import Connection
from stream.dead_letters import dead_letter
from stream.graph_view import GraphView
from stream.metrics import Metrics
from stream.runner import Spot
from stream.transaction import Outbox
from stream.wire import digest, encode_data, encode_event, partition_of

AHEAD_MS = 86_400_000
"""How far ahead of the clock an event may be."""

MOST_ASKED = 200_000
"""Parts that are remembered as asked about; with more of them the oldest are forgotten."""

MOST_AHEAD = 2_500
"""Requests that may lie before the resolver while it gets on; with more of them identify waits.

Else all events of a backlog would go by the resolver, as their parts' former ones still lie there."""

STALLED_S = 2.0
"""When the resolver has not been seen to read for so long nobody waits for it."""

RAW_TOPICS = tuple(topic.name for topic in TOPICS if topic.key == "publisher's choice")


class Asked:
    """Parts of which events went to the resolver and may still lie there: their next events follow them.

    Else one that tells nothing new would overtake one that does, be counted first, and make it late or, of the same id,
    a conflict. The log of the graph says how far the resolver has read, and what it sent on came before that.
    """

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        """Each with the number of the last batch that asked about it."""
        self._batches: deque[tuple[int, int, set[str]]] = deque()
        """Committed ones, oldest first: number, offset of the last request, parts."""
        self._unplaced: set[str] = set()  # committed, but where their requests lie was not told
        self._under_way: deque[tuple[int, set[str]]] = deque()
        self._number = 0

    def begin(self, read: int) -> tuple[int, set[str]]:
        """Begin a batch: return its number and the set for its parts. The resolver has read up to the offset `read`."""
        batches = self._batches
        while batches and (batches[0][1] < read or len(self.parts) > MOST_ASKED):
            number, _, parts = batches.popleft()
            for part in parts:
                if self.parts.get(part, number + 1) <= number:
                    del self.parts[part]
        self._number += 1
        asked: set[str] = set()
        self._under_way.append((self._number, asked))
        return self._number, asked

    def lying(self, read: int) -> int:
        """Return how many offsets the resolver has yet to read up to that of our last request."""
        return self._batches[-1][1] + 1 - read if self._batches else 0

    def committed(self, last: int | None) -> None:
        """Hear that the oldest batch under way is committed, with the offset of its last request if there was one."""
        number, parts = self._under_way.popleft()
        if last is None:
            self._unplaced |= parts
        else:
            self._batches.append((number, last, parts | self._unplaced))
            self._unplaced = set()

    def forget(self) -> None:
        """Hear that the batches under way never were."""
        self._under_way.clear()
        self.parts = {part: number for number, _, parts in self._batches for part in parts}
        self.parts |= dict.fromkeys(self._unplaced, self._number)


class IdentifyWork:
    """Validates, normalises, looks up.

    It keeps nothing but the followed copy of the graph, which may be stale, and which parts it asked about.

    `live` says whether there is a wall clock that an event must not be far ahead of.
    """

    name = "identify"
    merged = True
    pipelined = True
    ticks = False

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        view: GraphView,
        metrics: Metrics,
        partitions: int,
        live: bool,
    ) -> None:
        self.topics = list(RAW_TOPICS)
        self.at: Message | None = None
        self._admit = Admission(settings).admit
        self._view = view
        self._metrics = metrics
        self._partitions = partitions
        self._live = live
        self._bare = {connection.topic(name): name for name in RAW_TOPICS}
        self._space = settings.space
        self._identified = connection.topic("events.identified")
        self._requests = connection.topic("identity.requests")
        self._deadletter = connection.topic("events.deadletter")
        self._asked = Asked()
        self._read = view.requests_read
        self._read_s = -math.inf

    def open(self, places: list[TopicPartition]) -> None:
        """Nothing to prepare."""

    def close(self, places: list[Place]) -> None:
        """Nothing to end."""

    def held_back(self) -> bool:
        """Return whether to wait for the resolver: it has much of ours to read, and gets on with it."""
        now = time.monotonic()
        read = self._view.requests_read
        if read != self._read:
            self._read, self._read_s = read, now
        return self._asked.lying(read) > MOST_AHEAD and now - self._read_s < STALLED_S

    def process(self, messages: list[Message], broken: set[Spot]) -> Outbox:
        """Return where each message goes."""
        outbox = Outbox(self._requests)
        lookup, partitions, identified = self._view.lookup, self._partitions, self._identified
        number, asked_now = self._asked.begin(self._view.requests_read)
        asked = self._asked.parts
        for message, event, data in in_order(self._admitted(messages, broken, outbox)):
            self.at = message
            part = event.idents[0] if event.idents else ""
            one_id = None if part in asked else lookup(event)
            value = encode_event(event, one_id, data)
            if one_id is None:
                asked[part] = number
                asked_now.add(part)
                outbox.add(self._requests, self._space, value, 0)
            else:
                outbox.add(identified, one_id, value, partition_of(one_id, partitions))
        return outbox

    def _admitted(
        self, messages: list[Message], broken: set[Spot], outbox: Outbox
    ) -> list[tuple[Message, Event, bytes]]:
        """Return the valid events, each with its message and its packed data; the others become dead letters."""
        latest_ms = int(time.time() * 1000) + AHEAD_MS if self._live else None
        found = []
        for message in messages:
            self.at = message
            raw = message.value() or b""
            try:
                event = self._admit(raw)
                if latest_ms is not None and event.time_ms > latest_ms:
                    raise InvalidEvent("invalid", "time: is more than a day ahead of the clock")
                if broken and (message.topic(), message.partition(), message.offset()) in broken:
                    raise InvalidEvent("failed", "the event broke the identify stage")
            except InvalidEvent as error:
                self._refuse(outbox, message, raw, error)
                continue
            data = encode_data(event)
            event.source = Source(
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
                message.timestamp()[1],
                digest(data + _content(event)),
            )
            found.append((message, event, data))
        return found

    def tick(self) -> Outbox | None:
        """Nothing is due by the clock here."""
        return None

    def committed(self, delivered: Mapping[int, int]) -> None:
        """Note where the batch's requests lie."""
        self._asked.committed(delivered.get(0))

    def forget(self) -> None:
        """Go back to what is committed."""
        self._asked.forget()

    def _refuse(self, outbox: Outbox, message: Message, raw: bytes, error: InvalidEvent) -> None:
        topic = self._bare[message.topic() or ""]
        value = dead_letter(error.reason, error.detail, topic, message.partition() or 0, message.offset() or 0, raw)
        key = message.key()
        outbox.add(self._deadletter, key, value)
        self._metrics.refused(error.reason)


def in_order(events: list[tuple[Message, Event, bytes]]) -> list[tuple[Message, Event, bytes]]:
    """Return events in the order in which they arrived; each partition's order stays as it is.

    Of events of several partitions that arrived in the same millisecond the oldest goes first. A file published in one
    go has hundreds of them in each, and its events should not be late only because their topics are read side by side.
    """
    reached: dict[tuple[str, int], tuple[int, int]] = {}
    keys = []
    for _, event, _ in events:
        source = event.source
        assert source is not None  # noqa: S101  it is where the message came from
        place = source.topic, source.partition
        key = source.arrived_ms, event.time_ms
        before = reached.get(place)
        if before is not None and before > key:
            key = before
        reached[place] = key
        keys.append(key)
    return [events[number] for number in sorted(range(len(keys)), key=keys.__getitem__)]


def _content(event: Event) -> bytes:
    """Return what beside the data makes an event what it is."""
    return f"{event.type} {event.time_ms} {' '.join(event.idents)}".encode()
