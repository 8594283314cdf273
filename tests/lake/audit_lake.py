"""A small lake, written from the live stages in one process: what a worker's messages would become, without a Kafka."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake import catalogue
from lake.catalogue import DataFile, Listing
from lake.lake_tables import BY_NAME
from lake.rows import Read, Rows
from lake.store import LakeStore
from profiles import part as parts
from schemas.settings import Settings
from stream.connection import Connection
from stream.cut import INPUT
from stream.exported_people import CLOCK, INBOX
from stream.graph_log import input_record
from stream.person import Person, freeze
from stream.public import Public, left_segments
from tests.live import in_process
from tests.live.in_process import InProcess

PREFIX = "small."
LATER_MS = 3_600_000
"""How long after its last message the lake says that it is complete."""


def connection() -> Connection:
    """What the stages ask of a connection: names of topics."""
    return cast(
        Connection,
        SimpleNamespace(
            prefix=PREFIX, topic=lambda name: PREFIX + name, bare=lambda name: name.removeprefix(PREFIX), group=str
        ),
    )


class SmallLake(InProcess):
    """`publish` lines, `advance` the clock, `profiles` now and then, and in the end `write` to a lake."""

    def __init__(self, settings: Settings) -> None:
        with patch.object(in_process, "create"):
            super().__init__(connection(), settings)
        self._public = Public(settings)
        self._gone: dict[str, Person] = {}
        for stage in self._stages:
            stage._gone = self._withdraw

    def _withdraw(self, person: Person) -> None:
        partition = self.partition(person.one_id)
        self._put("profiles", cast(bytes, None), partition, person.one_id.encode())
        for change in left_segments(person, self._now_ms):
            self._put("segments.changes", change, partition)

    def profiles(self) -> None:
        """Publish the profiles of everybody with news, as the live stage does after a batch."""
        for number, stage in enumerate(self._stages):
            for one_id in stage.news:
                person = stage.people.get(one_id)
                if person is None or not person.parts:
                    continue
                person.published_ms = max(stage.now_ms, person.clock_ms)
                rendered = self._public.render(person, person.published_ms)
                self._put("profiles", rendered.value, number, one_id.encode())
                for change in rendered.changes:
                    self._put("segments.changes", change, number)
                person.tags = rendered.tags
            stage.news.clear()

    def advance(self, to_ms: int) -> None:
        """Move the clock of a backfill on."""
        super().advance(to_ms)
        for stage in self._stages:
            stage.now_ms = to_ms

    def write(self, url: Path) -> LakeStore:
        """Write all that was said into a lake."""
        self.profiles()
        for number, stage in enumerate(self._stages):
            for person in stage.people.each():
                self._put("profiles.state", freeze(person), number, person.one_id.encode())
            inbox = [(step, parts.encode(part)) for (step, _), part in stage.inbox.items()]
            self._put("profiles.state", msgspec.msgpack.encode(inbox), number, INBOX)
            if number in self._clocks:
                self._put("profiles.state", msgspec.msgpack.encode(self._clocks[number]), number, CLOCK)
            self._put("profiles.state", msgspec.msgpack.encode(self._read[number]), number, INPUT)
        for key, value in self._graph.changed():
            self._put("identity.graph", value, len(key) % self._partitions, key)
        for number in range(self._partitions):
            key, value = input_record(self.sent["identity.requests", 0])
            self._put("identity.graph", value, number, key)
        by_place: dict[tuple[str, int], list[Read]] = defaultdict(list)
        for topic, partition, key, value, at_ms in self._outbox:
            place = (self.connection.bare(topic), partition)
            by_place[place].append(Read(len(by_place[place]), at_ms, key, value))
        store = LakeStore(str(url))
        for (topic, partition), reads in sorted(by_place.items()):
            if topic in ("events.customer", "quality.tickets"):
                continue
            rows = Rows(topic, partition, self.connection.bare)
            rows.add(reads)
            assert not rows.wrong
            files = []
            for table, date, made in rows.tables():
                path = catalogue.data_path(table.name, date, topic, partition, 0, len(reads) - 1)
                size = store.write_table(path, made)
                files.append(DataFile(table.name, path, 0, len(reads) - 1, made.num_rows, size))
            listing = Listing(topic, partition, len(reads), self._now_ms + LATER_MS, tuple(files))
            catalogue.update(store, topic, partition, lambda before, listing=listing: listing)  # type: ignore[misc]
        return store


def change(store: LakeStore, table: str, edit: Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]]) -> None:
    """Replace the rows of a table in the lake by what `edit` makes of those of each file."""
    schema = BY_NAME[table].schema
    assert store.local is not None
    for _, file in list(catalogue.files(catalogue.read_all(store), table)):
        rows = pq.read_table(store.local / file.path, schema=schema).to_pylist()
        after = list(edit(rows))
        store.write_table(file.path, pa.Table.from_pylist(after, schema=schema))


def rows(store: LakeStore, table: str) -> list[dict[str, Any]]:
    """The rows of a table in the lake, in a certain order."""
    found = []
    assert store.local is not None
    for _, file in catalogue.files(catalogue.read_all(store), table):
        found += pq.read_table(store.local / file.path, schema=BY_NAME[table].schema).to_pylist()
    return found
