"""The state of very many people, written straight into Kafka: as if they had lived, at a hundredth of the time.

Some hundred people of `bench.events` live through the real stages; everybody else is one of them under other
identifiers. All names have the same length, so a record is renamed without being decoded; OneIDs are made anew.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from bench.events import EVENTS_PER_PERSON, lines
from identity.oneid import namer
from identity.policy import Policy
from ingest.admit import Admission
from schemas.event import Source
from schemas.settings import Settings
from stream.connection import Connection
from stream.live_graph import LiveGraph
from stream.memory import MemoryPipeline
from stream.person import freeze
from stream.public import Public
from stream.transaction import Outbox, Transactions
from stream.wire import digest, encode_data, partition_of
from triggers.engine import Engine
from triggers.rules import RuleSet

MODELS = 200
AT_ONCE = 5_000
"""People in one transaction."""


class Model(NamedTuple):
    """One who lived: number, OneID, frozen state, and records of the graph."""

    number: int
    one_id: bytes
    state: bytes
    graph: list[tuple[bytes, bytes]]


def seed(connection: Connection, settings: Settings, people: int, partitions: int) -> int:
    """Write the state of so many people; return the number of records. The topics are there and empty."""
    transactions = Transactions(connection, f"{connection.prefix}seed", "60s")
    state, graph = connection.topic("profiles.state"), connection.topic("identity.graph")
    models = list(_models(settings))
    name = namer(settings.space)
    group = connection.consumer(f"{connection.prefix}seed").consumer_group_metadata()
    count = 0
    for start in range(0, people, AT_ONCE):
        outbox = Outbox()
        for number in range(start, min(start + AT_ONCE, people)):
            model = models[number % MODELS]
            renaming = [(model.one_id, name(f"device_id:dv{number:014d}").encode())]
            pairs = zip(names(model.number), names(number), strict=True)
            renaming += [(old, new) for old, new in pairs if old != new]
            one_id = renaming[0][1]
            partition = partition_of(one_id.decode(), partitions)
            outbox.add(state, one_id, renamed(model.state, renaming), partition)
            for key, value in model.graph:
                own = renamed(key, renaming)
                outbox.add(graph, own, renamed(value, renaming), zlib.crc32(own) % partitions)
        if start + AT_ONCE >= people:
            step = LiveGraph(Policy.from_settings(settings), settings.space)
            step.step = people
            for key, value in step.changed():
                outbox.add(graph, key, value, zlib.crc32(key) % partitions)
        count += len(outbox)
        transactions.commit(outbox, [], group)
    return count


def _models(settings: Settings) -> Iterator[Model]:
    admit = Admission(settings).admit
    engine = Engine(RuleSet.from_settings(settings), settings)
    public, policy = Public(settings), Policy.from_settings(settings)
    lives = list(lines(MODELS))
    for number in range(MODELS):
        live = LiveGraph(policy, settings.space)
        pipeline = MemoryPipeline(settings, live.graph, engine, lambda firing: None, lambda change: None)
        for offset, line in enumerate(lives[number * EVENTS_PER_PERSON : (number + 1) * EVENTS_PER_PERSON]):
            event = admit(line)
            event.source = Source("events.browse", 0, offset, event.time_ms, digest(encode_data(event)))
            pipeline.send(event)
        [person] = pipeline.stages[0].people.each()
        person.tags, person.published_ms = public.render(person, person.clock_ms).tags, person.clock_ms
        yield Model(number, person.one_id.encode(), freeze(person), list(live.changed()))


def names(number: int) -> list[bytes]:
    """Return the names of a person in `bench.events`; those of all people have the same lengths."""
    texts = (f"dv{number:014d}", f"M{number:09d}", f"138{number:08d}", f"bench-{number:08d}-", f"O{number:08d}-")
    return [text.encode() for text in texts]


def renamed(value: bytes, renaming: list[tuple[bytes, bytes]]) -> bytes:
    """Return a record under other names."""
    for old, new in renaming:
        value = value.replace(old, new)
    return value
