"""How the live pipeline does, put together from what the workers count and what Kafka has for them."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from cli.workers import get
from schemas.errors import KithError, TransientError
from stream.connection import Connection
from stream.lag import STAGES, Lag, Look

EVERY_S = 1.0
LAG_EVERY_S = 3.0
"""Seconds between two looks at the lag, which asks more of the brokers than the rest asks of the workers."""

RATE_S = 5.0
"""The events a second are those of so many seconds."""

Name = tuple[str, frozenset[tuple[str, str]]]
"""A metric, and its labels with their values."""

Samples = Counter[Name]


@dataclass(frozen=True)
class Status:
    """`events`, `fired` (by rule) and `refused` (by reason) count since the workers were started.

    `lag` is messages by stage, None while Kafka does not tell. `behind_s` is how far the clock of triggers is behind
    the time of day, None where it is not known or is that of the events.
    """

    answering: int = 0
    events: int = 0
    per_s: float = 0.0
    people: int = 0
    fired: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[str, int] | None = None
    behind_s: float | None = None


class Counts:
    """Adds up what workers count, each from 0 at its every start."""

    def __init__(self) -> None:
        self._now: dict[str, Samples] = {}
        self._before: Samples = Counter()

    def add(self, worker: str, text: str) -> None:
        """Take what one worker tells of itself in the format of Prometheus."""
        samples: Samples = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name, frozenset(sample.labels.items())] = sample.value  # type: ignore[assignment]
        former = self._now.get(worker, samples)
        began: Name = ("kith_start_time_seconds", frozenset())
        if former[began] != samples[began]:
            self._before.update({name: value for name, value in former.items() if name[0].endswith("_total")})
        self._now[worker] = samples

    def forget(self, workers: set[str]) -> None:
        """Leave out what those measured at last that are gone; what they counted stays."""
        for worker in workers & set(self._now):
            total = {name: value for name, value in self._now.pop(worker).items() if name[0].endswith("_total")}
            self._before.update(total)

    def by_label(self, metric: str, label: str, **where: str) -> dict[str, int]:
        """Return a counter's sums by a label, of those samples that have the labels `where`."""
        found: Counter[str] = Counter()
        for samples in (self._before, *self._now.values()):
            for (name, labels), value in samples.items():
                if name == metric and labels >= where.items():
                    found[dict(labels)[label]] += int(value)
        return {name: value for name, value in found.items() if value}

    def total(self, metric: str) -> int:
        """Return the sum of a counter or gauge without labels."""
        return int(sum(samples[metric, frozenset()] for samples in (self._before, *self._now.values())))

    def largest(self, metric: str) -> float | None:
        """Return the largest value of a gauge without labels, None if no worker has set it."""
        found = [samples[metric, frozenset()] for samples in self._now.values() if samples[metric, frozenset()]]
        return max(found, default=None)


class Watcher:
    """A thread that keeps `status` up to date while it is entered; `addresses` gives HOST:PORT of each worker."""

    def __init__(self, connection: Connection, addresses: Callable[[], Mapping[str, str]]) -> None:
        self.status = Status()
        self._addresses = addresses
        self._counts = Counts()
        self._lag = Lag(connection)
        self._look: Look | None = None
        self._left: Mapping[str, int] | None = None
        self._lag_at = float("-inf")
        self._events: deque[tuple[float, int]] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(15)

    def _run(self) -> None:
        while True:
            self.status = self._measure()
            if self._stopped.wait(EVERY_S):
                break
        self._lag.close()

    def _measure(self) -> Status:
        answering = 0
        for worker, address in self._addresses().items():
            try:
                status, text = get(address, "/metrics")
            except TransientError:
                self._counts.forget({worker})
                continue
            if status == 200:
                answering += 1
                self._counts.add(worker, text)
        events = self._counts.by_label("kith_events_total", "stage").get("identify", 0)
        return Status(
            answering=answering,
            events=events,
            per_s=self._rate(events),
            people=self._counts.total("kith_people"),
            fired=self._counts.by_label("kith_triggers_total", "rule", outcome="fired"),
            refused=self._counts.by_label("kith_dead_letters_total", "reason"),
            lag=self._measure_lag(),
            behind_s=self._counts.largest("kith_clock_lag_seconds"),
        )

    def _rate(self, events: int) -> float:
        now = time.monotonic()
        self._events.append((now, events))
        while len(self._events) > 2 and now - self._events[1][0] >= RATE_S:
            self._events.popleft()
        since, before = self._events[0]
        return (events - before) / (now - since) if now > since else 0.0

    def _measure_lag(self) -> Mapping[str, int] | None:
        if time.monotonic() - self._lag_at < LAG_EVERY_S:
            return self._left
        try:
            look = self._lag.look()
            left = self._lag.left(look) if look != self._look else {}
            self._look = None if left else look  # what is at rest and worked off need not be read again
        except KithError:
            self._look = self._left = None
        else:
            found = dict.fromkeys(STAGES, 0)
            for (stage, _), number in left.items():
                found[stage] += number
            self._left = found
        self._lag_at = time.monotonic()
        return self._left
