"""A small world of queues around the real stages, in which a seed decides who acts next.

Identify workers look at copies of the graph that lag behind; messages of one sender to one receiver keep their order,
those of different senders do not. It differs from the live pipeline in that nobody crashes and nothing is stored.
"""

import random
import zlib
from collections import deque
from collections.abc import Callable, Sequence

from identity.graph import Graph
from identity.policy import Policy
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.identify import Identify
from stream.messages import PartChange, PartTransfer, Request, Routed
from stream.people import People
from stream.profile import ProfileStage
from stream.resolve import Resolve
from triggers.engine import Engine
from triggers.rules import RuleSet

WORKERS = 3


class World:
    """Publish events with `run`; `stages`, `graph` and `fired` hold what came of them."""

    def __init__(self, seed: int, settings: Settings, partitions: int = 3) -> None:
        self.random = random.Random(seed)
        self.fired: list[Firing] = []
        self.bounced = 0
        self.moved = 0
        policy = Policy.from_settings(settings)
        self.graph = Graph(policy, settings.space)
        self.resolve = Resolve(self.graph, lambda change: None)
        engine = Engine(RuleSet.from_settings(settings), settings)
        self.partition_of = lambda one_id: zlib.crc32(one_id.encode()) % partitions
        self.requests: deque[Request] = deque()
        self.channels: dict[tuple[str, int], deque[Routed | PartChange | PartTransfer]] = {}
        self.copies = [Graph(policy, settings.space) for _ in range(WORKERS)]
        self.seen = [0] * WORKERS
        self.log: list[Event] = []
        self.stages = [
            ProfileStage(
                settings,
                engine,
                People(max_decoded=3),
                self._sender(number),
                self.fired.append,
                owns=lambda one_id, number=number: self.partition_of(one_id) == number,
            )
            for number in range(partitions)
        ]

    def run(self, events: Sequence[Event]) -> None:
        """Publish the events in this order and let everybody act, in random order, until all is worked off."""
        waiting = deque(events)
        while True:
            acts: list[Callable[[], None]] = []
            if waiting:
                acts += [lambda: self._identify(waiting.popleft())] * 3
            if self.requests:
                acts += [self._resolve] * 2
            if any(count < len(self.log) for count in self.seen):
                acts.append(self._refresh)
            for (sender, to), channel in self.channels.items():
                if channel:
                    acts.append(lambda sender=sender, to=to: self._read(sender, to))
            if not waiting and not self.requests and not any(self.channels.values()):
                return
            self.random.choice(acts)()

    def advance(self, to_ms: int) -> None:
        """Move everybody's clock on."""
        for stage in self.stages:
            stage.advance(to_ms)

    def _identify(self, event: Event) -> None:
        worker = self.random.randrange(WORKERS)
        message = Identify(self.copies[worker]).route(event)
        if isinstance(message, Request):
            self.requests.append(message)
        else:
            self._post(f"identify {worker}", message.one_id, message)

    def _refresh(self) -> None:
        worker = self.random.randrange(WORKERS)
        upto = self.random.randint(self.seen[worker], len(self.log))
        for event in self.log[self.seen[worker] : upto]:
            self.copies[worker].observe(event)
        self.seen[worker] = upto

    def _resolve(self) -> None:
        event = self.requests.popleft().event
        self.log.append(event)
        change, routed = self.resolve.request(event)
        if change is not None:
            ends = {end for move in change.moves for end in (move.from_one_id, move.to_one_id) if end is not None}
            for number in sorted({self.partition_of(end) for end in ends}):
                self._queue("resolver", number).append(change)
        if routed is not None:
            self._post("resolver", routed.one_id, routed)

    def _read(self, sender: str, to: int) -> None:
        message = self._queue(sender, to).popleft()
        stage = self.stages[to]
        if isinstance(message, Routed):
            stage.event(message)
        elif isinstance(message, PartChange):
            stage.change(message)
        else:
            stage.transfer(message)

    def _sender(self, number: int) -> Callable[[PartTransfer | Request], None]:
        def send(message: PartTransfer | Request) -> None:
            if isinstance(message, Request):
                self.bounced += 1
                self.requests.append(message)
            else:
                self.moved += 1
                self._post(f"stage {number}", message.one_id, message)

        return send

    def _post(self, sender: str, one_id: str, message: Routed | PartChange | PartTransfer) -> None:
        self._queue(sender, self.partition_of(one_id)).append(message)

    def _queue(self, sender: str, to: int) -> deque[Routed | PartChange | PartTransfer]:
        return self.channels.setdefault((sender, to), deque())
