"""The batch engine over the lake's events: what triggers and changes of people they give in the order of their times.

People that no evidence connects cannot touch each other, so this is done for some groups at a time.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from identity.changes import Change
from identity.graph import Graph
from identity.policy import Policy
from lake.audit.tables import BATCH_CHANGES, BATCH_TRIGGERS
from lake.writer import TableWriter
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.memory import MemoryPipeline
from stream.wire import decode_data
from triggers.engine import Engine
from triggers.rules import RuleSet

EVENTS_AT_A_TIME = 2_000_000
"""Events of the groups that are run at a time: their people are in memory together."""

_EVENTS = """
WITH every AS (
    SELECT event_id, type, ms, idents, data::VARCHAR AS data, true AS counts, part AS ident FROM facts
    UNION ALL
    SELECT event_id, type, ms, coalesce(idents, []), data, false, coalesce(part, data::JSON->>'a') FROM witnessed
)
SELECT event_id, type, ms, idents, data, bool_or(counts)
FROM every JOIN components c USING (ident) WHERE c.component % ? = ?
GROUP BY ALL ORDER BY ms, event_id
"""


def run(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    folder: Path,
    until_ms: int | None,
    progress: Callable[[str, int, int], None],
) -> None:
    """Write `batch_triggers.parquet` and `batch_changes.parquet` into the folder.

    `until_ms` is where the clock stands; None: there is none but the events' own.
    """
    [(total,)] = connection.execute("SELECT count(*) FROM facts").fetchall()
    turns = -(-total // EVENTS_AT_A_TIME) or 1
    triggers = TableWriter(folder / f"{BATCH_TRIGGERS.name}.parquet", BATCH_TRIGGERS)
    changes = TableWriter(folder / f"{BATCH_CHANGES.name}.parquet", BATCH_CHANGES)
    engine = Engine(RuleSet.from_settings(settings), settings)
    encode = msgspec.json.Encoder().encode

    def publish(f: Firing) -> None:
        triggers.add(
            (
                *(f.trigger_id, f.rule, f.rule_version, f.one_id, f.part, f.instance, f.anchor_event_id, f.anchor_ms),
                *(f.due_ms, f.decided_ms, f.fired_ms, f.outcome, f.reason, encode(f.payload).decode()),
            )
        )

    def announce(c: Change) -> None:
        changes.add((c.at_ms, c.kind, c.one_id, c.other_one_id, c.reason, c.event_id))

    done = 0
    try:
        for turn in range(turns):
            graph = Graph(Policy.from_settings(settings), settings.space)
            pipeline = MemoryPipeline(settings, graph, engine, publish, announce)
            for event, counts in _events(connection, turns, turn):
                if counts or not event.idents:
                    pipeline.send(event)
                else:
                    pipeline.witness(event)
                done += 1
                if done % 5_000 == 0:
                    triggers.flush_if_full()
                    changes.flush_if_full()
                    progress("triggers", done, total)
            if until_ms is not None:
                pipeline.advance(until_ms)
            triggers.flush_if_full()
    finally:
        triggers.close()
        changes.close()
    progress("triggers", total, total)


def _events(connection: duckdb.DuckDBPyConnection, turns: int, turn: int) -> Iterator[tuple[Event, bool]]:
    cursor = connection.execute(_EVENTS, [turns, turn])
    while rows := cursor.fetchmany(5_000):
        for event_id, kind, ms, idents, data, counts in rows:
            yield Event(event_id, kind, ms, tuple(idents), _data(kind, data)), counts


def _data(kind: str, data: str) -> Any:
    return decode_data(kind, data.encode())
