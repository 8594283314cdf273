"""A small world around the real stages, in which a seed decides who acts next, who crashes and who sees how much.

Topics are lists. What an actor says in a transaction is appended message by message, between those of others; readers
stop at the first transaction that is open and skip what was aborted. Identify workers look at copies of the graph that
lag behind by any number of records, in each partition differently, and miss versions that compaction dropped. An actor
that crashes goes back to what is committed, or is started anew from its log. It differs from the live pipeline in that
nothing is a process and time does not pass.
"""

import random
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from identity.policy import Policy
from schemas.event import Event, Source
from schemas.firing import Firing
from schemas.settings import Settings
from stream.graph_rows import MemoryRows
from stream.graph_view import GraphView
from stream.identify import Identify
from stream.live_graph import LiveGraph
from stream.live_people import LivePeople
from stream.messages import Advance, PartChange, PartTransfer, Request, Routed
from stream.profile import ProfileStage
from stream.stage_profile import Partition
from stream.store import Store
from stream.wire import decode, digest, encode, encode_data, ends, partition_of
from triggers.engine import Engine
from triggers.rules import RuleSet

WORKERS = 4
PARTITIONS = 3
GRAPH_PARTITIONS = 2

Place = tuple[str, int]
Said = tuple[Place, bytes | None, bytes]
"""Where to, key and value."""


class Transaction:
    """Open until it is committed or aborted."""

    def __init__(self) -> None:
        self.state = "open"


class Topic:
    """The log of one partition."""

    def __init__(self) -> None:
        self.entries: list[tuple[Transaction, bytes | None, bytes]] = []

    def read(self, position: int) -> tuple[int, bytes | None, bytes] | None:
        """Return the next committed message with the position after it."""
        while position < len(self.entries):
            transaction, key, value = self.entries[position]
            if transaction.state == "open":
                return None
            position += 1
            if transaction.state == "committed":
                return position, key, value
        return None

    def committed(self) -> list[tuple[bytes, bytes]]:
        """Return the keyed messages that are committed, in order, whatever is open."""
        return [(key, value) for t, key, value in self.entries if t.state == "committed" and key is not None]


@dataclass
class Batch:
    """What an actor made of some messages: `said` is to be appended, then it counts, with the position behind it."""

    position: int
    said: list[Said]
    done: Callable[[], None]
    transaction: Transaction = field(default_factory=Transaction)
    appended: int = 0


class Actor:
    """Reads one topic and says something about it in transactions, of which it may prepare the next meanwhile."""

    depth = 1

    def __init__(self, world: "World", topic: Topic) -> None:
        self.world = world
        self.topic = topic
        self.position = 0
        self.ahead = 0
        self.batches: deque[Batch] = deque()

    def can_act(self) -> bool:
        return bool(self.batches) or self.topic.read(self.ahead) is not None

    def act(self) -> None:
        """Take a step: read and work off, append one message, commit, or crash."""
        rng = self.world.random
        if len(self.batches) < self.depth and (not self.batches or rng.random() < 0.3):
            values = []
            for _ in range(rng.randint(1, 4)):
                found = self.topic.read(self.ahead)
                if found is None:
                    break
                self.ahead, _, value = found
                values.append(value)
            if values:
                said, done = self.work(values)
                self.batches.append(Batch(self.ahead, said, done))
                return
        if not self.batches:
            return
        batch = self.batches[0]
        if batch.appended < len(batch.said):
            place, key, value = batch.said[batch.appended]
            batch.appended += 1
            self.world.topic(*place).entries.append((batch.transaction, key, value))
        elif rng.random() < self.world.crashes:
            batch.transaction.state = "aborted"
            self.batches.clear()
            self.ahead = self.position
            self.world.crashed += 1
            self.forget()
        else:
            batch.transaction.state = "committed"
            self.batches.popleft()
            self.position = batch.position
            batch.done()

    def work(self, values: list[bytes]) -> tuple[list[Said], Callable[[], None]]:
        """Return what is to be said, and what to do once that is committed."""
        raise NotImplementedError

    def forget(self) -> None:
        """Go back to what is committed."""


class IdentifyActor(Actor):
    """A worker that sends events to people by its own copy of the graph."""

    def __init__(self, world: "World", topic: Topic) -> None:
        super().__init__(world, topic)
        self.view = GraphView(max_rows=64)

    def work(self, values: list[bytes]) -> tuple[list[Said], Callable[[], None]]:
        if self.world.random.random() < 0.3:
            self.catch_up()
        said: list[Said] = []
        for value in values:
            request = decode(value)
            assert isinstance(request, Request)
            message = Identify(self.view).route(request.event)  # type: ignore[arg-type]
            if isinstance(message, Routed):
                said.append((self.world.home(message.one_id), None, encode(message)))
            else:
                said.append((("requests", 0), None, encode(message)))
        return said, lambda: None

    def forget(self) -> None:
        if self.world.random.random() < 0.3:  # its copy is lost too
            self.view = GraphView(max_rows=64)

    def catch_up(self, whole: bool = False) -> None:
        """Follow the log of the graph for a while; versions that later ones replaced may be missing."""
        rng = self.world.random
        for number in range(GRAPH_PARTITIONS):
            topic = self.world.topic("graph", number)
            position = self.view.offsets.get(number, 0)
            end = len(topic.entries) if whole else rng.randint(position, len(topic.entries))
            rows: list[tuple[bytes, bytes]] = []
            while (found := topic.read(position)) is not None and found[0] <= end:
                position, key, value = found
                assert key is not None
                rows.append((key, value))
            last = dict(rows)
            kept = [(key, value) for key, value in rows if last[key] is value or rng.random() < 0.5]
            self.view.apply(number, kept, position)


class ResolveActor(Actor):
    """The resolver."""

    def __init__(self, world: "World", topic: Topic) -> None:
        super().__init__(world, topic)
        self.rows = MemoryRows()
        self.graph = self._opened(self.rows)

    def _opened(self, rows: MemoryRows) -> LiveGraph:
        most = self.world.random.choice([1, 8, 1000])
        return LiveGraph(self.world.policy, self.world.settings.space, rows, most)

    def work(self, values: list[bytes]) -> tuple[list[Said], Callable[[], None]]:
        graph, world = self.graph, self.world
        said: list[Said] = []
        graph.mark()
        for value in values:
            request = decode(value)
            assert isinstance(request, Request)
            event = request.event
            resolution = graph.observe(event)
            if resolution.moves:
                change = PartChange(graph.next_step(), event.time_ms, resolution.moves)
                places = sorted({world.home(one_id) for one_id in ends(change)})
                said += [(place, None, encode(change)) for place in places]
            if resolution.one_id is not None and event.idents:
                said.append((world.home(resolution.one_id), None, encode(Routed(resolution.one_id, event))))
        for key, row in graph.changed():
            said.append((("graph", zlib.crc32(key) % GRAPH_PARTITIONS), key, row))
        return said, self._committed

    def _committed(self) -> None:
        ends = {n: len(self.world.topic("graph", n).committed()) for n in range(GRAPH_PARTITIONS)}
        self.graph.committed({n: end - 1 for n, end in ends.items()})
        if self.world.random.random() < 0.2:
            self.graph.file()

    def forget(self) -> None:
        way = self.world.random.randrange(3)
        if way == 0:
            self.graph.rollback()
        else:
            if way == 1:
                self.rows = MemoryRows()
            self.graph = self.restored(self.rows)

    def restored(self, store: MemoryRows) -> LiveGraph:
        """Return the graph as another worker would have it, from a store of it and the log."""
        graph = self._opened(store)
        for number in range(GRAPH_PARTITIONS):
            rows = self.world.topic("graph", number).committed()[graph.offsets.get(number, 0) :]
            last = dict(rows)
            for key, value in rows:
                if last[key] is value or self.world.random.random() < 0.5:
                    graph.apply(key, value)
            graph.offsets[number] = graph.offsets.get(number, 0) + len(rows)
        graph.verify()
        return graph


class ProfileActor(Actor):
    """One partition of people, with its store and its changelog."""

    depth = 2

    def __init__(self, world: "World", topic: Topic, number: int) -> None:
        super().__init__(world, topic)
        self.number = number
        self._said: list[Said] = []
        self._stores = 0
        self.partition = self._opened()

    @property
    def stage(self) -> ProfileStage:
        return self.partition.stage

    def _opened(self) -> Partition:
        self._stores += 1
        store = Store(self.world.folder / f"{self.number}.{self._stores}", memory_mb=1)
        log = self.world.topic("state", self.number).committed()
        if log:
            LivePeople.restore_into(store, [(key, value or None) for key, value in log], len(log))
        people = LivePeople(store, max_decoded=3)
        stage = ProfileStage(
            self.world.settings,
            self.world.engine,
            people,  # type: ignore[arg-type]
            self._send,
            self._publish,
            owns=lambda one_id: partition_of(one_id, PARTITIONS) == self.number,
            refuse=self._refuse,
        )
        partition = Partition(self.number, store, people, stage)
        partition.load()
        return partition

    def work(self, values: list[bytes]) -> tuple[list[Said], Callable[[], None]]:
        self._said = []
        partition = self.partition
        stage, people = partition.stage, partition.people
        for value in values:
            message = decode(value)
            match message:
                case Routed():
                    stage.event(message)
                case PartChange():
                    stage.change(message)
                case PartTransfer():
                    stage.transfer(message)
                case Advance():
                    stage.now_ms = message.to_ms
                    stage.fire(people.due(message.to_ms, 1 << 40), message.to_ms)
                case _:
                    raise AssertionError(message)
        stage.news.clear()
        self.world.most_frozen = max(self.world.most_frozen, len(stage.waiting))
        partition.save_inbox()
        records = people.collect()
        self._said += [(("state", self.number), key, value or b"") for key, value in records.items()]
        return self._said, lambda: people.written(records)

    def forget(self) -> None:
        if self.world.random.random() < 0.2:  # another worker takes over, without the store
            self.partition.store.close()
            self.partition = self._opened()
        else:
            self.partition.people.forget()
            self.partition.load()

    def _send(self, message: PartTransfer | Request) -> None:
        if isinstance(message, Request):
            self.world.bounced += 1
            self._said.append((("requests", 0), None, encode(message)))
        else:
            self.world.moved += 1
            self._said.append((self.world.home(message.one_id), None, encode(message)))

    def _publish(self, firing: Firing) -> None:
        self.world.firings.append(firing)
        self._said.append((("fired", 0), None, str(len(self.world.firings) - 1).encode()))

    def _refuse(self, event: Event, outcome: int) -> None:
        raise AssertionError(f"event {event.id} was refused: {outcome}")


class World:
    """Publish events with `run`; `stages`, `graph` and `fired` hold what came of them. To be closed.

    `crashes` is how likely a transaction is to end in one.
    """

    def __init__(self, seed: int, settings: Settings, crashes: float = 0.08) -> None:
        self.random = random.Random(seed)
        self.settings = settings
        self.crashes = crashes
        self.policy = Policy.from_settings(settings)
        self.engine = Engine(RuleSet.from_settings(settings), settings)
        self.firings: list[Firing] = []
        self.bounced = self.moved = self.crashed = self.most_frozen = 0
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self._topics: dict[Place, Topic] = {}
        self._published = 0
        self.identifiers = [IdentifyActor(self, self.topic("raw", number)) for number in range(WORKERS)]
        self.resolver = ResolveActor(self, self.topic("requests", 0))
        self.profilers = [ProfileActor(self, self.topic("identified", number), number) for number in range(PARTITIONS)]
        self._actors: list[Actor] = [*self.identifiers, self.resolver, *self.profilers]
        self._speeds = [1 / self.random.choice([1, 1, 3, 10]) for _ in self._actors]

    def run(self, events: Iterable[Event], *, fresh: bool = False) -> None:
        """Publish the events in this order and let everybody act until all is worked off.

        With `fresh` copies of the graph are up to date first.
        """
        waiting = deque(events)
        if fresh:
            for worker in self.identifiers:
                worker.catch_up(whole=True)
        while True:
            if waiting and self.random.random() < 0.2:
                self._publish(waiting.popleft())
            able = [place for place, actor in enumerate(self._actors) if actor.can_act()]
            if able:
                (place,) = self.random.choices(able, [self._speeds[place] for place in able])
                self._actors[place].act()
            elif not waiting:
                return

    def advance(self, to_ms: int) -> None:
        """Move everybody's clock on."""
        done = Transaction()
        done.state = "committed"
        for number in range(PARTITIONS):
            self.topic("identified", number).entries.append((done, None, encode(Advance(to_ms))))
        self.run([])

    def close(self) -> None:
        for actor in self.profilers:
            actor.partition.store.close()
        self._temporary.cleanup()

    @property
    def graph(self) -> LiveGraph:
        return self.resolver.graph

    @property
    def stages(self) -> Sequence[ProfileStage]:
        return [actor.stage for actor in self.profilers]

    @property
    def fired(self) -> list[Firing]:
        """What was fired in transactions that were committed."""
        topic = self.topic("fired", 0)
        return [self.firings[int(value)] for t, _, value in topic.entries if t.state == "committed"]

    def topic(self, name: str, number: int) -> Topic:
        return self._topics.setdefault((name, number), Topic())

    def home(self, one_id: str) -> Place:
        return "identified", partition_of(one_id, PARTITIONS)

    def _publish(self, event: Event) -> None:
        number = self.random.randrange(WORKERS)
        self._published += 1
        source = Source("raw", number, self._published, 1, digest(encode_data(event)))
        done = Transaction()
        done.state = "committed"
        sent = Event(event.id, event.type, event.time_ms, event.idents, event.data, source)
        self.topic("raw", number).entries.append((done, None, encode(Request(sent))))
