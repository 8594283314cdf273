"""Looks at a worker from outside its stages: whether it is well, and the metrics that nobody counts by the way."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from schemas.errors import KithError
from stream.broker import Broker
from stream.connection import Connection
from stream.graph_view import GraphView
from stream.lag import STAGES, Lag
from stream.store import Store

if TYPE_CHECKING:
    from stream.worker import Worker

log = logging.getLogger(__name__)

EVERY_S = 5.0
"""Seconds between two rounds: half of the interval at which Prometheus is set to ask."""

SILENT_S = 30.0
"""Seconds after which a stage that does not read is called stuck."""


class Watch:
    """What the HTTP side is told of a worker (`stream.api.Served`), and a thread that measures every few seconds."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._broker = Broker(worker.connection)
        self._lag = Lag(worker.connection)
        self._partitions: dict[str, int] = {}
        self._frozen: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """Measure no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(15)

    # What the HTTP side asks

    @property
    def connection(self) -> Connection:
        """The worker's connection to Kafka."""
        return self._worker.connection

    @property
    def follows(self) -> bool:
        """Whether the worker keeps a copy of the identity graph, as those do that have people."""
        return self._worker.follows

    @property
    def view(self) -> GraphView | None:
        """The copy of the identity graph, None until it is complete."""
        follower = self._worker.follower
        return follower.view if follower is not None and follower.ready.is_set() else None

    @property
    def partitions(self) -> int:
        """Number of partitions of people, of all workers; 0 until it is known."""
        profile = self._worker.profile
        if profile is not None:
            return profile.partitions
        return self._partitions.get(self.connection.topic("events.identified"), 0)

    def store(self, partition: int) -> Store | None:
        """Return the people of a partition, None if this worker does not have it."""
        profile = self._worker.profile
        held = None if profile is None else profile.open_partitions.get(partition)
        return None if held is None else held.store

    def now_ms(self) -> int:
        """Return the time of day, or how far the clock of a backfill has come here."""
        if self._worker.clock == "live":
            return int(time.time() * 1000)
        profile = self._worker.profile
        held = [] if profile is None else list(profile.open_partitions.values())
        return max((partition.stage.now_ms for partition in held), default=0)

    def problems(self) -> list[str]:
        """Return what keeps the worker from being ready, in words."""
        if self.follows and self.view is None:
            return ["the copy of the identity graph is not complete yet"]
        found = []
        for runner in list(self._worker.runners):
            source = runner.source
            if source is None:
                found.append(f"stage {runner.name} does not read yet")
            elif source.opening:
                found.append(f"stage {runner.name} takes its partitions and restores their state")
            elif time.monotonic() - source.beat > SILENT_S:
                silent_s = time.monotonic() - source.beat
                found.append(f"stage {runner.name} has read nothing for {silent_s:.0f} s: it is stuck")
            elif self._worker.metrics.uncommitted_s(runner.name) > SILENT_S:
                found.append(f"stage {runner.name} waits for a commit that does not end")
        lake = self._worker.lake
        if "lake" in self._worker.stages and (lake is None or lake.opening):
            found.append("stage lake takes its partitions")
        return found

    # Measuring

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            try:
                self.measure()
            except KithError as error:  # Kafka or a store that just closes: the next round will tell
                log.debug("not all could be measured: %s", error)
            except Exception:
                log.exception("measuring failed")

    def measure(self) -> None:
        """Set the metrics that are looked up. Raises KithError if Kafka does not answer."""
        self._measure_here()
        self._partitions = self._broker.topics()
        resolves = False
        for runner in list(self._worker.runners):
            held = len(runner.source.assigned) if runner.source is not None else 0
            topics = [self.connection.topic(topic) for topic in runner.work.topics]
            expected = sum(self._partitions.get(topic, 0) for topic in topics)
            self._worker.metrics.partitions(runner.name, held, expected)
            resolves = resolves or (runner.name == "resolve" and held > 0)
        self._measure_lag(resolves)

    def _measure_here(self) -> None:
        metrics, profile = self._worker.metrics, self._worker.profile
        if self._worker.live_clock is not None and self._worker.live_clock():
            metrics.clock_behind(self._worker.live_clock.behind_s)
        held = [] if profile is None else list(profile.open_partitions.values())
        now = time.monotonic()
        waiting = {one_id for partition in held for one_id in list(partition.stage.waiting)}
        self._frozen = {one_id: self._frozen.get(one_id, now) for one_id in waiting}
        metrics.frozen(len(waiting), max((now - since for since in self._frozen.values()), default=0.0))
        size = sum(partition.store.size_bytes() for partition in held)
        sizes = [("profile", size)]
        if self._worker.resolve is not None:
            sizes.append(("resolve", self._worker.resolve.size_bytes()))
        metrics.state(sum(len(partition.store) for partition in held), sizes)

    def _measure_lag(self, resolves: bool) -> None:
        """Set the lag of all stages. One worker does it for all: the one that has the resolver's partition."""
        left = self._lag.left(self._lag.look()) if resolves else {}
        for stage in STAGES:
            lags = [
                (self.connection.bare(topic), partition, messages)
                for (of, (topic, partition)), messages in left.items()
                if of == stage
            ]
            if resolves:
                topics = {topic for topic, _, _ in lags}
                lags += [(topic, 0, 0) for topic in STAGES[stage] if topic not in topics]
            self._worker.metrics.lag(stage, lags)
