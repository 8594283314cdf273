"""The identify stage, live: raw bytes become events on their way to a person, to the resolver, or dead letters."""

import time
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

FOLLOW_S = 1.0
"""Seconds for which, at least, a part's events follow one of it that went to the resolver.

Else one that tells nothing new would overtake it, be counted first, and make it late or, of the same id, a conflict.
"""

RAW_TOPICS = tuple(topic.name for topic in TOPICS if topic.key == "publisher's choice")


class IdentifyWork:
    """Validates, normalises, looks up.

    It keeps nothing but the followed copy of the graph, which may be stale, and which parts had something new lately.

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
        self._lookup = view.lookup
        self._metrics = metrics
        self._partitions = partitions
        self._live = live
        self._bare = {connection.topic(name): name for name in RAW_TOPICS}
        self._space = settings.space
        self._identified = connection.topic("events.identified")
        self._requests = connection.topic("identity.requests")
        self._deadletter = connection.topic("events.deadletter")
        self._asked: set[str] = set()  # parts of which the resolver was told since `_asked_since`,
        self._asked_before: set[str] = set()  # and in the time before
        self._asked_since = 0.0

    def open(self, places: list[TopicPartition]) -> None:
        """Nothing to prepare."""

    def close(self, places: list[Place]) -> None:
        """Nothing to end."""

    def process(self, messages: list[Message], broken: set[Spot]) -> Outbox:
        """Return where each message goes."""
        outbox = Outbox()
        latest_ms = int(time.time() * 1000) + AHEAD_MS if self._live else None
        lookup, partitions, identified = self._lookup, self._partitions, self._identified
        self._forget_asked()
        asked, asked_before = self._asked, self._asked_before
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
            one_id, part = lookup(event), event.idents[0] if event.idents else ""
            if one_id is None:
                asked.add(part)
            elif part in asked or part in asked_before:
                one_id = None
            value = encode_event(event, one_id, data)
            if one_id is None:
                outbox.add(self._requests, self._space, value, 0)
            else:
                outbox.add(identified, one_id, value, partition_of(one_id, partitions))
        return outbox

    def tick(self) -> Outbox | None:
        """Nothing is due by the clock here."""
        return None

    def committed(self, delivered: Mapping[int, int]) -> None:
        """Nothing is kept."""

    def forget(self) -> None:
        """Nothing is kept."""

    def _forget_asked(self) -> None:
        now = time.monotonic()
        if now - self._asked_since > FOLLOW_S:
            # What was asked in a batch that took long has still to be followed.
            self._asked, self._asked_before, self._asked_since = set(), self._asked, now

    def _refuse(self, outbox: Outbox, message: Message, raw: bytes, error: InvalidEvent) -> None:
        topic = self._bare[message.topic() or ""]
        value = dead_letter(error.reason, error.detail, topic, message.partition() or 0, message.offset() or 0, raw)
        key = message.key()
        outbox.add(self._deadletter, key, value)
        self._metrics.refused(error.reason)


def _content(event: Event) -> bytes:
    """Return what beside the data makes an event what it is."""
    return f"{event.type} {event.time_ms} {' '.join(event.idents)}".encode()
