"""The pipeline in one process: the live stages, joined by queues in memory instead of topics.

It differs from the live pipeline in two things only: nothing survives the process, and every message is worked off
before the next event is taken, so nobody is frozen between two events.
"""

import zlib
from collections import Counter, deque
from collections.abc import Callable

from identity.changes import Change
from identity.graph import Graph
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.identify import Identify
from stream.messages import PartChange, PartTransfer, Request, Routed
from stream.people import MAX_DECODED, People
from stream.profile import ProfileStage
from stream.resolve import Resolve
from triggers.engine import Engine


class MemoryPipeline:
    """Events go in by `send`, firings and changes of people come out by the two callbacks.

    There is no clock but the events': what is due before an event fires before it, per person, and `advance` moves
    everybody on. `partitions` splits the people over several profile stages, as workers would.
    """

    def __init__(
        self,
        settings: Settings,
        graph: Graph,
        engine: Engine,
        publish: Callable[[Firing], None],
        announce: Callable[[Change], None],
        partitions: int = 1,
        max_decoded: int = MAX_DECODED,
    ) -> None:
        self.graph = graph
        self.counts: Counter[str] = Counter()
        self._identify = Identify(graph)
        self._resolve = Resolve(graph, announce)
        self._outbox: deque[PartTransfer | Request] = deque()
        self._partition_of = (lambda one_id: zlib.crc32(one_id.encode()) % partitions) if partitions > 1 else None
        self.stages = [
            ProfileStage(
                settings,
                engine,
                People(max_decoded),
                self._outbox.append,
                publish,
                owns=self._owner(number),
            )
            for number in range(partitions)
        ]

    def send(self, event: Event) -> None:
        """Take one event through all stages."""
        message = self._identify.route(event)
        if isinstance(message, Routed):
            self._stage(message.one_id).event(message)
        else:
            self._request(message)
        while self._outbox:
            self._deliver(self._outbox.popleft())

    def witness(self, event: Event) -> None:
        """Take in the evidence of an event only: one that was refused after it had been looked at."""
        if event.idents and isinstance(self._identify.route(event), Routed):
            return
        self._decide(event)

    def advance(self, to_ms: int) -> None:
        """Move the clock of everybody on to `to_ms`; what is due at that instant fires."""
        for stage in self.stages:
            stage.advance(to_ms)

    def _request(self, message: Request) -> None:
        self.counts["requests"] += 1
        routed = self._decide(message.event)
        if routed is not None:
            self._stage(routed.one_id).event(routed)

    def _decide(self, event: Event) -> Routed | None:
        """Let the resolver take in the event, and the stages do what it decides; return where the event is to go."""
        change, routed = self._resolve.request(event)
        if change is not None:
            for stage in self._stages_of(change):
                stage.change(change)
        while self._outbox:
            self._deliver(self._outbox.popleft())
        return routed

    def _deliver(self, message: PartTransfer | Request) -> None:
        if isinstance(message, PartTransfer):
            self.counts["parts_moved"] += 1
            self._stage(message.one_id).transfer(message)
        else:
            self._request(message)

    def _stages_of(self, change: PartChange) -> list[ProfileStage]:
        if self._partition_of is None:
            return self.stages
        ends = {end for move in change.moves for end in (move.from_one_id, move.to_one_id) if end is not None}
        return [self.stages[number] for number in sorted({self._partition_of(one_id) for one_id in ends})]

    def _stage(self, one_id: str) -> ProfileStage:
        return self.stages[0 if self._partition_of is None else self._partition_of(one_id)]

    def _owner(self, number: int) -> Callable[[str], bool]:
        partition_of = self._partition_of
        return (lambda one_id: True) if partition_of is None else (lambda one_id: partition_of(one_id) == number)
