"""People as they were at a past time: the events of the lake up to then, replayed, a share of them at a time.

Identifiers that no evidence connects cannot touch each other's people, so groups of them are replayed apart, by several
processes, and only some groups are in memory together. What comes of a share are Arrow files of the same rows that the
changelogs would have given.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds

from identity.changes import Change
from identity.graph import Graph
from identity.policy import Policy
from lake.database import literal
from lake.groups import find_groups
from lake.late_person import PART
from lake.snapshot_graph import share_of
from lake.snapshot_sources import Sources
from lake.tables import IDENTITY_CHANGES, TIME, TRIGGERS, Column, Table
from lake.writer import TableWriter
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.memory import MemoryPipeline
from stream.person import freeze
from stream.replay import seldom_collected
from stream.results import trigger_row
from stream.wire import decode_data
from triggers.engine import Engine
from triggers.rules import RuleSet

EVENTS_AT_A_TIME = 400_000
"""Events of a share: their people are in memory together."""

EVERY = 5_000
"""Events between two looks at whether enough rows are gathered to be written."""


def _scratch(name: str, **columns: pa.DataType) -> Table:
    return Table(name, "", "", tuple(Column(column, kind, "", "") for column, kind in columns.items()))


STATE = _scratch("state", one_id=pa.string(), value=pa.binary())
NODES = _scratch(
    "nodes",
    ident=pa.string(),
    one_id=pa.string(),
    has_part=pa.bool_(),
    first_ms=pa.int64(),
    first_id=pa.string(),
)
EDGES = _scratch("edges", kind=pa.string(), a=pa.string(), b=pa.string(), ms=pa.int64(), id=pa.string())
_SAID = tuple(column for column in TRIGGERS.columns if column.name != "one_id")
FIRED = Table("fired", "", "", (*_SAID, PART, Column("decided_at", TIME, "", "")))
CHANGES = Table("changes", "", "", (*IDENTITY_CHANGES.columns, Column("number", pa.int64(), "", "")))
TABLES = (STATE, NODES, EDGES, FIRED, CHANGES)

FIRED_QUERY = "SELECT f.*, n.one_id FROM past_fired f LEFT JOIN nodes n ON n.ident = f.part"
CHANGES_QUERY = f"""
SELECT {", ".join(f'"{column.name}"' for column in IDENTITY_CHANGES.columns)} FROM past_changes
ORDER BY "at", evidence_event_id, number
"""  # noqa: S608  our own names

# What was refused in the end was evidence all the same.
_REPLAYED = """
CREATE TEMP VIEW replayed AS
SELECT e.event_id, e.type, epoch_ms(e.time) AS ms, e.part, e.identifiers AS idents, e.data, true AS counts
FROM lake_events e JOIN counted c ON c."partition" = e."partition" AND c."offset" = e."offset"
    AND c.part IS NOT DISTINCT FROM e.part
UNION ALL
SELECT DISTINCT event_id, type, time_ms, part, identifiers, data, false
FROM below WHERE refused AND time_ms <= getvariable('as_of_ms')
"""
_NAMED = """
SELECT DISTINCT unnest(CASE WHEN part IS NULL THEN [data::JSON->>'a', data::JSON->>'b'] ELSE idents END) FROM replayed
"""
_PAIRS = """
SELECT part, unnest(idents[2:]) FROM replayed WHERE part IS NOT NULL AND len(idents) > 1
UNION ALL SELECT data::JSON->>'a', data::JSON->>'b' FROM replayed WHERE part IS NULL
"""
_LAY_OUT = """
COPY (
    SELECT c.component % {shares} AS share, ms, event_id, type, idents, data, counts
    FROM replayed r JOIN components c ON c.ident = coalesce(r.part, r.data::JSON->>'a')
) TO {folder} (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (share))
"""


class PastShare(NamedTuple):
    """A share of the events: its number, where the scratch files are, and up to when it is replayed."""

    number: int
    scratch: Path
    settings: dict[str, Any]
    until_ms: int


def lay_out(sources: Sources, scratch: Path) -> list[int]:
    """Write the events of the table `counted`, and refused ones, into shares; return the numbers of these."""
    sources.sql.execute(_REPLAYED)
    find_groups(sources.sql, _NAMED, _PAIRS)
    [(total,)] = sources.sql.execute("SELECT count(*) FROM counted").fetchall()
    shares = max(1, -(-int(total) // EVENTS_AT_A_TIME))
    folder = scratch / "events"
    sources.sql.execute(_LAY_OUT.format(shares=shares, folder=literal(str(folder))))
    sources.sql.execute("DROP TABLE components")
    sources.sql.execute("DROP TABLE named")
    return sorted(int(path.name.partition("=")[2]) for path in folder.glob("share=*"))


def replay_share(share: PastShare) -> int:
    """Replay a share of the events, in a process of its own; return how many they were."""
    settings = Settings.model_validate(share.settings)
    with seldom_collected():
        return _Replayed(settings, share).run()


class _Replayed:
    """The run of one share."""

    def __init__(self, settings: Settings, share: PastShare) -> None:
        folder = share.scratch / "past"
        folder.mkdir(exist_ok=True)
        self._share = share
        self._state, self._nodes, self._edges, self._fired, self._changes = self._writers = [
            TableWriter(folder / f"{table.name}-{share.number:05d}.arrow", table, scratch=True) for table in TABLES
        ]
        self._graph = Graph(Policy.from_settings(settings), settings.space)
        engine = Engine(RuleSet.from_settings(settings), settings)
        self._pipeline = MemoryPipeline(settings, self._graph, engine, self._publish, self._announce)
        self._announced = 0

    def run(self) -> int:
        number = 0
        for number, (event, counts) in enumerate(self._events(), 1):
            if counts:
                self._pipeline.send(event)
            else:
                self._pipeline.witness(event)
            if number % EVERY == 0:
                self._fired.flush_if_full()
                self._changes.flush_if_full()
        self._pipeline.advance(self._share.until_ms)
        self._write_people()
        self._write_graph()
        for writer in self._writers:
            writer.close()
        return number

    def _events(self) -> Iterator[tuple[Event, bool]]:
        folder = self._share.scratch / "events" / f"share={self._share.number}"
        found = ds.dataset(sorted(str(path) for path in folder.glob("*.parquet")), format="parquet").to_table()
        found = found.sort_by([("ms", "ascending"), ("event_id", "ascending")])
        names = ("event_id", "type", "ms", "idents", "data", "counts")
        for batch in found.to_batches(EVERY):
            columns = (batch.column(name).to_pylist() for name in names)
            for event_id, kind, ms, idents, data, counts in zip(*columns, strict=True):
                yield Event(event_id, kind, ms, tuple(idents or ()), decode_data(kind, data.encode())), counts

    def _write_people(self) -> None:
        for stage in self._pipeline.stages:
            for person in stage.people.each():
                if person.parts:
                    self._state.add((person.one_id, freeze(person)))
                    self._state.flush_if_full()

    def _write_graph(self) -> None:
        graph = self._graph
        for row in graph.evidence():
            if row.kind == "seen":
                one_id = graph.one_id(row.a)
                self._nodes.add((row.a, one_id, graph.has_part(row.a), row.time_ms, row.event_id))
            else:
                self._edges.add((row.kind, row.a, row.b, row.time_ms, row.event_id))
            self._nodes.flush_if_full()
            self._edges.flush_if_full()

    def _publish(self, firing: Firing) -> None:
        self._fired.add((*trigger_row(firing), firing.decided_ms))

    def _announce(self, change: Change) -> None:
        self._announced += 1
        said = (change.at_ms, change.kind, change.one_id, change.other_one_id, change.reason, change.event_id)
        self._changes.add((*said, self._announced))


def replay_past(
    sources: Sources,
    scratch: Path,
    settings: Settings,
    until_ms: int,
    run: Callable[..., Iterable[int]],
    progress: Callable[[int], None],
) -> None:
    """Replay what is counted up to `until_ms`, and fill `nodes`, `edges`, `past_fired` and `past_changes`.

    `run` maps a function over shares. `progress` hears how many events are done.
    """
    numbers = lay_out(sources, scratch)
    said = settings.model_dump(mode="json")
    done = 0
    for events in run(replay_share, [PastShare(number, scratch, said, until_ms) for number in numbers]):
        done += events
        progress(done)
    sql = sources.sql
    for table in TABLES:
        files = sorted(str(path) for path in (scratch / "past").glob(f"{table.name}-*.arrow"))
        found = ds.dataset(files, schema=table.schema, format="ipc") if files else table.schema.empty_table()
        sql.register(f"past_{table.name}", found)
    sql.execute(
        "INSERT INTO nodes SELECT p.*, k.place FROM past_nodes p "
        "LEFT JOIN kinds k ON k.kind = split_part(p.ident, ':', 1)"
    )
    sql.execute("INSERT INTO edges FROM past_edges")


def write_past_state(sources: Sources, shares: int, scratch: Path) -> None:
    """Write the replayed state by share into `scratch/state`."""
    sources.sql.execute(
        f"COPY (SELECT one_id, value, {share_of('one_id', shares)} AS share FROM past_state)"  # noqa: S608  our own
        f" TO {literal(str(scratch / 'state'))} (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (share),"
        " ROW_GROUP_SIZE 8192)"
    )
