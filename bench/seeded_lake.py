"""The lake of very many people, written straight into files: as if they had lived, at a fiftieth of the time.

Some hundred people of `bench.events` live through the real stages; everybody else is one of them under other
identifiers, so what they said is renamed, and becomes rows as the messages of workers do.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bench.events import lines
from bench.seeded import MODELS, names, renamed
from identity.changes import Move
from identity.oneid import namer
from identity.policy import Policy
from ingest.admit import Admission
from lake import catalogue
from lake.catalogue import DataFile, Listing
from lake.rows import Read, Rows
from lake.store import LakeStore
from schemas.event import Source
from schemas.firing import Firing
from schemas.settings import Settings
from stream.cut import INPUT
from stream.graph_log import input_record
from stream.live_graph import LiveGraph
from stream.memory import MemoryPipeline
from stream.messages import PartChange, Routed
from stream.person import freeze
from stream.public import Public, firing_message
from stream.wire import digest, encode, encode_data, partition_of
from triggers.engine import Engine
from triggers.rules import RuleSet

AT_ONCE = 50_000
"""People whose messages become files together."""

Said = list[tuple[str, bytes, bytes]]
"""Topic, key and value of each message."""


class Model(NamedTuple):
    """One who lived: number, OneID, ids of the firings, and all that was said."""

    number: int
    one_id: bytes
    firings: list[bytes]
    said: Said


class Task(NamedTuple):
    """What one process writes: one partition of everything."""

    url: str
    settings: dict[str, object]
    people: int
    each: int
    partition: int
    partitions: int
    now_ms: int


def write_lake(url: str, settings: Settings, people: int, each: int, partitions: int = 4, processes: int = 2) -> int:
    """Write the lake of so many people with `each` events; return the number of events."""
    said = settings.model_dump(mode="json")
    now_ms = int(time.time() * 1000) - 60_000
    tasks = [Task(url, said, people, each, number, partitions, now_ms) for number in range(partitions)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return sum(pool.map(_write, tasks))


class _Partition:
    """Gathers the messages of one partition of every topic, and writes them now and then."""

    def __init__(self, task: Task) -> None:
        self._store = LakeStore(task.url)
        self._number = task.partition
        self._gathered: dict[str, list[Read]] = defaultdict(list)
        self._ends: dict[str, int] = defaultdict(int)
        self._files: dict[str, list[DataFile]] = defaultdict(list)
        self._now_ms = task.now_ms

    def add(self, topic: str, key: bytes, value: bytes) -> None:
        self._gathered[topic].append(Read(self._ends[topic], self._now_ms, key, value))
        self._ends[topic] += 1

    def flush(self) -> None:
        for topic, reads in self._gathered.items():
            rows = Rows(topic, self._number, str)
            rows.add(reads)
            first, last = reads[0].offset, reads[-1].offset
            for table, date, made in rows.tables():
                path = catalogue.data_path(table.name, date, topic, self._number, first, last)
                size = self._store.write_table(path, made)
                self._files[topic].append(DataFile(table.name, path, first, last, made.num_rows, size))
        self._gathered.clear()

    def close(self) -> None:
        self.add("profiles.state", INPUT, msgspec.msgpack.encode(self._ends["events.identified"]))
        self.add("identity.graph", *input_record(0))
        self.flush()
        for topic, files in self._files.items():
            listing = Listing(topic, self._number, self._ends[topic], self._now_ms + 30_000, tuple(files))
            catalogue.update(self._store, topic, self._number, lambda before, new=listing: replace(new))  # type: ignore[misc]


def _write(task: Task) -> int:
    settings = Settings.model_validate(task.settings)
    models = list(_models(settings, task.each))
    name = namer(settings.space)
    partition = _Partition(task)
    events = 0
    for number in range(task.people):
        if number % AT_ONCE == AT_ONCE - 1:
            partition.flush()
        one_id = name(f"device_id:dv{number:014d}")
        if partition_of(one_id, task.partitions) != task.partition:
            continue
        model = models[number % MODELS]
        renaming = [(model.one_id, one_id.encode())]
        renaming += [(old, new) for old, new in zip(names(model.number), names(number), strict=True) if old != new]
        ids = [(old, uuid.uuid5(uuid.NAMESPACE_URL, f"{old!r} {number}").hex.encode()) for old in model.firings]
        for topic, key, value in model.said:
            pairs = renaming + ids if topic.startswith("triggers.") else renaming
            partition.add(topic, renamed(key, pairs), renamed(value, pairs))
        events += task.each
    partition.close()
    return events


def _models(settings: Settings, each: int) -> Iterator[Model]:
    admit = Admission(settings).admit
    engine = Engine(RuleSet.from_settings(settings), settings)
    public, policy = Public(settings), Policy.from_settings(settings)
    lives = list(lines(MODELS, each))
    for number in range(MODELS):
        firings: list[Firing] = []
        live = LiveGraph(policy, settings.space)
        pipeline = MemoryPipeline(settings, live.graph, engine, firings.append, lambda change: None)
        said: Said = []
        for offset, line in enumerate(lives[number * each : (number + 1) * each]):
            event = admit(line)
            event.source = Source("events.browse", 0, offset, event.time_ms, digest(encode_data(event)))
            pipeline.send(event)
            owner = live.graph.one_id(event.idents[0]) or ""
            change = PartChange(offset, event.time_ms, [Move(event.idents[0], None, owner)])
            said.append(("events.identified", b"", encode(change)))
            said.append(("events.identified", b"", encode(Routed(owner, event))))
        [person] = pipeline.stages[0].people.each()
        rendered = public.render(person, person.clock_ms)
        one_id = person.one_id.encode()
        said += [(f"triggers.{firing.rule}", one_id, firing_message(firing)) for firing in firings]
        said += [("segments.changes", one_id, change) for change in rendered.changes]
        person.tags, person.published_ms = rendered.tags, person.clock_ms
        said.append(("profiles.state", one_id, freeze(person)))
        said += [("identity.graph", key, value) for key, value in live.changed() if not key.startswith(b"\0")]
        yield Model(number, one_id, [firing.trigger_id.encode() for firing in firings], said)
