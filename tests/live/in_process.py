"""The live stages in one process: what they say goes to a real Kafka, and is worked off at once from memory.

It differs from a worker in this: there are no batches (all is one transaction), nothing is read from Kafka, and which
messages a partition has read yet is in the hands of the test.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from identity.oneid import namer
from identity.policy import Policy
from ingest.admit import Admission
from profiles import part as parts
from profiles.fold import TOO_LATE
from schemas.errors import InvalidEvent
from schemas.event import Event, Source
from schemas.firing import Firing
from schemas.settings import Settings
from schemas.topics import MAX_MESSAGE_BYTES
from stream.broker import Broker
from stream.connection import Connection
from stream.dead_letters import dead_letter
from stream.exported_people import CLOCK, INBOX
from stream.live_graph import LiveGraph
from stream.messages import Advance, PartChange, PartTransfer, Request, Routed
from stream.people import People
from stream.person import freeze
from stream.profile import ProfileStage
from stream.public import firing_message, identity_change
from stream.topics import create
from stream.wire import decode, digest, encode, encode_data, ends, partition_of
from triggers.engine import Engine
from triggers.rules import RuleSet

RAW = "events.customer"


class InProcess:
    """`publish` lines, `advance` the clock, then `commit` to Kafka.

    A partition in `held` reads nothing of what it is sent until it is taken out and `work` is called.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        ruleset = RuleSet.from_settings(settings)
        create(connection, settings, ruleset)
        self.connection = connection
        self.settings = settings
        self.held: set[int] = set()
        self.bounced = 0
        self._partitions = settings.kafka.partitions
        self._admit = Admission(settings).admit
        self.name = namer(settings.space)
        self._graph = LiveGraph(Policy.from_settings(settings), settings.space)
        engine = Engine(ruleset, settings)
        self._outbox: list[tuple[str, int, bytes | None, bytes, int]] = []
        self._now_ms = int(time.time() * 1000)
        self.sent: dict[tuple[str, int], int] = Counter()
        self._read: dict[int, int] = Counter()
        self._waiting: dict[int, deque[bytes]] = {number: deque() for number in range(self._partitions)}
        self._requests: deque[bytes] = deque()
        self._raw: list[bytes] = []
        self._clocks: dict[int, int] = {}
        self._stages = [
            ProfileStage(
                settings,
                engine,
                People(),
                self._say,
                self.fire,
                owns=lambda one_id, number=number: partition_of(one_id, self._partitions) == number,
                refuse=self._refuse,
            )
            for number in range(self._partitions)
        ]

    def publish(self, lines: Iterable[bytes]) -> None:
        """Take lines through all stages, in this order."""
        for line in lines:
            offset = len(self._raw)
            self._raw.append(line)
            try:
                event = self._admit(line)
            except InvalidEvent as error:
                self._put("events.deadletter", dead_letter(error.reason, error.detail, RAW, 0, offset, line), 0)
                continue
            content = f"{event.type} {event.time_ms} {' '.join(event.idents)}".encode()
            source = Source(self.connection.topic(RAW), 0, offset, 1, digest(encode_data(event) + content))
            event.source = source
            one_id = self._graph.graph.lookup(event)
            if one_id is None:
                self._request(event)
            else:
                self._identified(Routed(one_id, event), partition_of(one_id, self._partitions))
            self.work()

    def advance(self, to_ms: int) -> None:
        """Move the clock of a backfill on."""
        for number in range(self._partitions):
            self._identified(Advance(to_ms), number)
        self.work()

    def work(self) -> None:
        """Work off what every partition that is not held has not read yet, and what comes of that."""
        while True:
            if self._requests:
                self._resolve(decode(self._requests.popleft()))
                continue
            ready = [number for number, queue in self._waiting.items() if queue and number not in self.held]
            if not ready:
                return
            number = ready[0]
            self._read[number] += 1
            self._handle(number, decode(self._waiting[number].popleft()))

    def commit(self) -> None:
        """Write everything in one transaction: messages, the state of people, and how far the groups have read."""
        for number, stage in enumerate(self._stages):
            for person in stage.people.each():
                self._put("profiles.state", freeze(person), number, person.one_id.encode())
            if stage.inbox:
                inbox = [(step, parts.encode(part)) for (step, _), part in stage.inbox.items()]
                self._put("profiles.state", msgspec.msgpack.encode(inbox), number, INBOX)
            if number in self._clocks:
                self._put("profiles.state", msgspec.msgpack.encode(self._clocks[number]), number, CLOCK)
        for key, value in self._graph.changed():
            self._put("identity.graph", value, len(key) % self._partitions, key)
        producer = self.connection.producer(
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_messages=5_000_000,
            transactional_id=f"{self.connection.prefix}in-process",
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for topic, partition, key, value, at_ms in self._outbox:
            try:
                producer.produce(topic, value, key, partition, timestamp=at_ms)
            except BufferError:
                producer.flush(30)
                producer.produce(topic, value, key, partition, timestamp=at_ms)
            producer.poll(0)
        producer.commit_transaction(60)
        self._outbox.clear()
        broker = Broker(self.connection)
        for stage, topic, partitions in (("resolve", "identity.requests", 1), ("profile", "events.identified", None)):
            offsets = {
                (self.connection.topic(topic), number): self.sent[topic, number]
                - (len(self._waiting[number]) if stage == "profile" else 0)
                for number in range(partitions or self._partitions)
            }
            broker.commit(self.connection.group(stage), offsets)

    def one_id(self, ident: str) -> str:
        return self._graph.graph.one_id(ident) or ""

    def partition(self, one_id: str) -> int:
        return partition_of(one_id, self._partitions)

    # Stages

    def _resolve(self, request: object) -> None:
        assert isinstance(request, Request)
        resolution = self._graph.observe(request.event)
        for change in resolution.changes:
            self._put("identity.changes", identity_change(change), len(change.one_id) % self._partitions)
        if resolution.moves:
            command = PartChange(self._graph.next_step(), request.event.time_ms, resolution.moves)
            for number in sorted({partition_of(one_id, self._partitions) for one_id in ends(command)}):
                self._identified(command, number)
        if resolution.one_id is not None and request.event.idents:
            routed = Routed(resolution.one_id, request.event)
            self._identified(routed, partition_of(routed.one_id, self._partitions))

    def _handle(self, number: int, message: object) -> None:
        stage = self._stages[number]
        match message:
            case Routed():
                stage.event(message)
            case PartChange():
                stage.change(message)
            case PartTransfer():
                stage.transfer(message)
            case Advance():
                self._clocks[number] = message.to_ms
                stage.advance(message.to_ms)

    def _say(self, message: PartTransfer | Request) -> None:
        if isinstance(message, Request):
            self.bounced += 1
            self._request(message.event)
        else:
            self._identified(message, partition_of(message.one_id, self._partitions))

    def _refuse(self, event: Event, outcome: int) -> None:
        assert event.source is not None
        offset = event.source.offset
        reason = "too_late" if outcome == TOO_LATE else "id_conflict"
        self._put("events.deadletter", dead_letter(reason, "no", RAW, 0, offset, self._raw[offset]), 0)

    def fire(self, firing: Firing) -> None:
        self._put(f"triggers.{firing.rule}", firing_message(firing), partition_of(firing.one_id, self._partitions))

    # What they write

    def _request(self, event: Event) -> None:
        value = encode(Request(event))
        self._put("identity.requests", value, 0)
        self._requests.append(value)

    def _identified(self, message: Routed | PartChange | PartTransfer | Advance, number: int) -> None:
        value = encode(message)
        self._put("events.identified", value, number)
        self._waiting[number].append(value)

    def _put(self, topic: str, value: bytes, partition: int, key: bytes | None = None) -> None:
        self._now_ms += 1  # so that the order of all messages can be told
        self._outbox.append((self.connection.topic(topic), partition, key, value, self._now_ms))
        self.sent[topic, partition] += 1
