"""The clock of the live pipeline: the time of day up to which everything published has been worked off.

A cart reminder is due at noon. Was there an order at eleven? If it stands unread in Kafka, because the workers were
down or have much to do, the reminder must not fire. So the clock is a watermark: at some instant the ends of the raw
topics are noted, and when first identify, then resolve, then profile (and again resolve and profile, for what bounced)
have come past what they had to read, the clock goes on to that instant. Where nobody is behind this takes a fraction
of a second.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from schemas.errors import TransientError
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection

log = logging.getLogger(__name__)

PAUSE_S = 0.1
"""Seconds between two rounds."""

POLL_S = 0.04
"""Seconds between two looks at how far a group has come."""

WARN_S = 30.0
"""Seconds behind the time of day after which the log says so."""


class LiveClock:
    """A thread that moves the watermark on; the clock stands still until `start`, and while Kafka is away."""

    def __init__(self, connection: Connection, raw: Sequence[str]) -> None:
        self._connection = connection
        self._broker = Broker(connection)
        self._partitions: dict[str, int] = {}
        self._raw = [connection.topic(name) for name in raw]
        self._requests = [connection.topic("identity.requests")]
        self._identified = [connection.topic("events.identified")]
        self._now_ms = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live clock", daemon=True)
        self._warned_at = time.monotonic()

    def __call__(self) -> int:
        """Return the watermark in epoch ms; 0 until everything was worked off once."""
        return self._now_ms

    @property
    def behind_s(self) -> float:
        """How many seconds the watermark is behind the time of day."""
        return max(0.0, time.time() - self._now_ms / 1000)

    def start(self) -> None:
        """Begin to move."""
        self._thread.start()

    def stop(self) -> None:
        """Stand still."""
        self._stopped.set()
        if self._thread.ident is not None:  # it was started
            self._thread.join(15)

    def _run(self) -> None:
        done: dict[Place, int] | None = None
        while not self._stopped.is_set():
            try:
                done = self._round(done)
            except TransientError as error:
                log.warning("the clock stands still: %s", error)
                done = None
                self._stopped.wait(1)
            self._stopped.wait(PAUSE_S)

    def _round(self, done: dict[Place, int] | None) -> dict[Place, int] | None:
        """Move on if all is worked off; `done` are the ends at which it last was."""
        at_ms = int(time.time() * 1000)
        now = self._all_ends()
        if now != done:
            if not self._wait("identify", {place: end for place, end in now.items() if place[0] in self._raw}):
                return None
            for _ in range(2):
                if not self._wait("resolve", self._ends(self._requests, committed_only=False)):
                    return None
                if not self._wait("profile", self._ends(self._identified, committed_only=False)):
                    return None
            after = self._all_ends()
            stages = (("identify", self._raw), ("resolve", self._requests), ("profile", self._identified))
            quiet = all(
                self._reached(stage, {place: end for place, end in after.items() if place[0] in topics})
                for stage, topics in stages
            )
            now = after if quiet else {}
        self._now_ms = max(self._now_ms, at_ms)
        return now or None

    def _reached(self, stage: str, wanted: dict[Place, int]) -> bool:
        return reached(wanted, self._broker.committed(self._connection.group(stage), wanted))

    def _wait(self, stage: str, wanted: dict[Place, int]) -> bool:
        """Wait until a stage has come to these ends; False if the clock is stopped meanwhile."""
        while not self._stopped.is_set():
            if self._reached(stage, wanted):
                return True
            if self.behind_s > WARN_S and time.monotonic() - self._warned_at > WARN_S and self._now_ms:
                self._warned_at = time.monotonic()
                log.warning("the clock is %.0f s behind: stage %s has not come so far", self.behind_s, stage)
            self._stopped.wait(POLL_S)
        return False

    def _all_ends(self) -> dict[Place, int]:
        return self._ends(self._raw) | self._ends([*self._requests, *self._identified], committed_only=False)

    def _ends(self, topics: Sequence[str], *, committed_only: bool = True) -> dict[Place, int]:
        """Return where the topics end.

        What the stages say to each other counts from when it is written: a commit shows in the offsets of its input
        before it shows in every partition it wrote to, and a transaction that hangs hides those behind it.
        """
        if not self._partitions:
            self._partitions = self._broker.topics()
        places = [(topic, number) for topic in topics for number in range(self._partitions[topic])]
        return self._broker.ends(places, committed_only=committed_only)


def reached(ends: Mapping[Place, int], committed: Mapping[Place, int]) -> bool:
    """Return whether a group has come to all these ends; an empty partition needs no coming to."""
    return all(committed.get(place, 0) >= end for place, end in ends.items())
