"""How far the stages are behind their input, and waiting until everything is worked off.

Two things are less simple than they look:

- A group's offset is that of its last message plus one, and a transaction leaves a mark at the end of every partition
  it wrote to. So a partition is worked off when nothing *readable* lies between offset and end, and only reading tells.
- The stages form a cycle (an event goes to the resolver and comes back), and their offsets cannot be read at one
  instant. All of these numbers only grow. If two looks at all of them are equal, they were so at every instant
  between, together: when nothing is left then, nothing is under way. That no transaction was open is part of the look:
  its offsets can be visible before its messages are.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, TopicPartition

from lake.rows import TOPICS, TRIGGERS
from schemas.contract import FAMILIES
from schemas.errors import StateError, TransientError
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection

STAGES: Mapping[str, tuple[str, ...]] = {
    "identify": tuple(f"events.{family}" for family in FAMILIES),
    "resolve": ("identity.requests",),
    "profile": ("events.identified",),
    "control": ("control.commands",),
}
"""Each stage, which is also the name of its group, and the topics that must be worked off."""

BESIDES: Mapping[str, tuple[str, ...]] = {"control": ("quality.tickets",)}
"""Topics that a stage's group reads besides, and that nobody need wait for: nothing that is exported follows from them.
"""

LAKE = "lake"
"""The group of the stage that writes the lake; it reads the topics of `lake.rows`."""

LOOK_S = 0.3
"""Seconds between two looks."""

AWAY_S = 60.0
"""Seconds for which brokers that have answered before may be away while something is waited for."""

READ_S = 5.0
"""Seconds within which a broker must say what lies between offset and end; else it is taken for a message."""


class StageLag(NamedTuple):
    """How far one stage is behind in one topic (its full name).

    `lag` is the offsets between the group's and the ends', 0 if no message lies there; marks of transactions count
    among messages, so it may be somewhat high. `workers` are the members of the group.
    """

    stage: str
    topic: str
    partitions: int
    lag: int
    workers: int


class Look(NamedTuple):
    """All numbers of one look: by stage and partition the next offset to read, and by partition the ends."""

    offsets: dict[tuple[str, Place], int]
    ends: dict[Place, int]
    open_ends: dict[Place, int]

    def gaps(self) -> dict[tuple[str, Place], int]:
        """Return how many offsets are not yet read or not yet readable, where there are any."""
        found = {each: self.open_ends[each[1]] - offset for each, offset in self.offsets.items()}
        return {each: gap for each, gap in found.items() if gap > 0}


class Lag:
    """Looks at the lag of all stages, again and again. Raises TransientError if Kafka does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broker = Broker(connection)
        self._empty: set[tuple[Place, int, int]] = set()

    def look(self, *, more: bool = False) -> Look:
        """Read all numbers; with `more` also of topics that a group reads beside those of its stage.

        Raises StateError if a stage's topic does not exist.
        """
        there = self._broker.topics()
        inputs: dict[tuple[str, Place], int] = {}
        missing = []
        for stage, names in STAGES.items():
            topics = [self._connection.topic(name) for name in names]
            missing += [topic for topic in topics if topic not in there]
            if more:
                topics += [self._connection.topic(name) for name in BESIDES.get(stage, ())]
            places = [(topic, partition) for topic in topics for partition in range(there.get(topic, 0))]
            committed = self._broker.committed(self._connection.group(stage), places)
            inputs.update({(stage, place): committed.get(place, -1) for place in places})
        if missing:
            raise StateError(f"there is no topic {', '.join(missing)}: run kith topics create")
        # Those who have committed nothing begin at the first message that is kept.
        beginnings = self._broker.beginnings({place for (_, place), offset in inputs.items() if offset < 0})
        offsets = {each: beginnings[each[1]] if offset < 0 else offset for each, offset in inputs.items()}
        all_places = [place for _, place in offsets]
        return Look(offsets, self._broker.ends(all_places), self._broker.ends(all_places, committed_only=False))

    def left(self, look: Look, *, first_only: bool = False) -> dict[tuple[str, Place], int]:
        """Return the gaps in which a message lies, or something that an open transaction has written.

        With `first_only` it looks no further when it has found one, and returns also gaps that it has not looked into.
        """
        gaps = look.gaps()
        unsure = {}
        for each in list(gaps):
            place, offset = each[1], look.offsets[each]
            end = look.ends[place]
            if end < look.open_ends[place]:
                continue  # a transaction is open
            if (place, offset, end) in self._empty:
                del gaps[each]
            else:
                unsure[each] = (place, offset, end)
        if not first_only or len(unsure) == len(gaps):
            for stage in {stage for stage, _ in unsure}:  # no two offsets of one partition at a time
                self._read({spot for (of, _), spot in unsure.items() if of == stage}, first_only=first_only)
        return {each: gap for each, gap in gaps.items() if unsure.get(each) not in self._empty}

    def workers(self) -> dict[str, int]:
        """Return how many members the group of each stage has."""
        found = self._broker.members(self._connection.group(stage) for stage in STAGES)
        return {stage: found[self._connection.group(stage)] for stage in STAGES}

    def stages(self) -> list[StageLag]:
        """Return the lag of every stage by topic, also of topics that its group reads besides."""
        look = self.look(more=True)
        left = self.left(look)
        workers = self.workers()
        found: dict[tuple[str, str], list[int]] = {}
        for stage, place in look.offsets:
            found.setdefault((stage, place[0]), []).append(left.get((stage, place), 0))
        stages = [
            StageLag(stage, topic, len(lags), sum(lags), workers[stage]) for (stage, topic), lags in found.items()
        ]
        return [*stages, self.lake()]

    def lake(self) -> StageLag:
        """Return the lag of the lake: of all its topics together. It commits also what follows the last message."""
        bare, group = self._connection.bare, self._connection.group(LAKE)
        there = {
            name: count for name, count in self._broker.topics().items() if name.startswith(self._connection.prefix)
        }
        topics = [name for name in there if bare(name) in TOPICS or bare(name).startswith(TRIGGERS)]
        places = [(name, partition) for name in topics for partition in range(there[name])]
        committed = self._broker.committed(group, places)
        fresh = [place for place in places if committed.get(place, -1) < 0]
        committed |= self._broker.beginnings(fresh) if fresh else {}
        ends = self._broker.ends(places)
        left = sum(max(0, end - committed[place]) for place, end in ends.items())
        return StageLag(LAKE, f"{len(topics)} topics", len(places), left, self._broker.members([group])[group])

    def close(self) -> None:
        """Close the connections to the brokers."""
        self._broker.close()

    def _read(self, spots: set[tuple[Place, int, int]], *, first_only: bool) -> None:
        """Note the spots (partition, offset, end) that hold no message: a reader set there meets the end first.

        With `first_only` up to the first that holds one.
        """
        # A reader of its own: one that has paused partitions does not read them when they are assigned anew.
        reader = self._connection.reader(queued_min_messages=1, queued_max_messages_kbytes=16_384)
        left = {spot[0]: spot for spot in spots}
        reader.assign([TopicPartition(*place, offset) for place, offset, _ in spots])
        deadline = time.monotonic() + READ_S
        try:
            while left and time.monotonic() < deadline:
                told: list[Place] = []
                for message in reader.consume(1_000, 0.1):
                    error = message.error()
                    spot = left.get((str(message.topic()), int(message.partition() or 0)))
                    at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
                    if spot is None or (error is not None and not at_end):
                        continue
                    told.append(spot[0])
                    del left[spot[0]]
                    if int(message.offset() or 0) >= spot[2]:  # the end, or a message that came since
                        self._empty.add(spot)
                    elif first_only:
                        return
                # One message is enough: without this a backlog would be fetched, and hide the other partitions.
                reader.pause([TopicPartition(*place) for place in told])
        finally:
            reader.close()


def lag(connection: Connection) -> list[StageLag]:
    """Return the lag of every stage by topic. Raises TransientError, and StateError if topics are missing."""
    reading = Lag(connection)
    try:
        return reading.stages()
    finally:
        reading.close()


def wait(
    connection: Connection, timeout_s: float | None = None, report: Callable[[int], None] = lambda left: None
) -> None:
    """Return when all stages have worked off everything, also what they send each other, and the lake has it.

    The lake is waited for where a worker writes it.

    `report` is told, at every look, how many offsets are left at most. Raises TransientError after `timeout_s` (None:
    waits for ever), naming what is left and who is not there to do it, or if Kafka cannot be reached; StateError if
    topics are missing.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    reading = Lag(connection)
    try:
        former: Look | None = None
        heard: float | None = None
        while True:
            try:
                look = reading.look()
                gaps = look.gaps()
                # Only what has come to rest is worth reading.
                left = reading.left(look, first_only=True) if look == former else gaps
            except (StateError, TransientError):  # a topic that has no leader just now is not there
                now = time.monotonic()
                if heard is None or now - heard > AWAY_S or (deadline is not None and now > deadline):
                    raise
                former = None
                time.sleep(LOOK_S)
                continue
            heard = time.monotonic()
            report(sum(left.values()))
            if look == former and not left:
                break
            if deadline is not None and time.monotonic() > deadline:
                raise TransientError(_undone(reading, reading.left(look), timeout_s or 0))
            former = look
            time.sleep(LOOK_S)
        while (lake := reading.lake()).lag and lake.workers:
            report(lake.lag)
            if deadline is not None and time.monotonic() > deadline:
                raise TransientError(f"not worked off after {timeout_s:g} s: lake: {lake.lag:,}")
            time.sleep(LOOK_S)
    finally:
        reading.close()


def _undone(reading: Lag, left: Mapping[tuple[str, Place], int], waited_s: float) -> str:
    by_topic: dict[tuple[str, str], int] = {}
    for (stage, (topic, _)), gap in left.items():
        by_topic[stage, topic] = by_topic.get((stage, topic), 0) + gap
    named = "; ".join(f"{stage} {topic}: {gap:,}" for (stage, topic), gap in by_topic.items())
    workers = reading.workers()
    nobody = sorted({stage for stage, _ in by_topic if not workers[stage]})
    idle = f"; no worker is there for {', '.join(nobody)}" if nobody else ""
    return f"not worked off after {waited_s:g} s: {named or 'the stages still move'}{idle}"
