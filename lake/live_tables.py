"""Events and changes of people of the live pipeline, gathered message by message and sorted at the end.

The same event can stand in Kafka more than once: published twice, or sent back by a partition that its person had left.
It counts once, and its first message says when it came.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lake.database import literal
from lake.tables import EVENTS, IDENTITY_CHANGES, LATE_EVENTS, Column, Table
from lake.writer import TableWriter, write_rows

_SOURCE = (
    Column("source_topic", pa.string(), "Topic it was published to", "来源主题"),
    Column("source_partition", pa.int32(), "Partition of that topic", "来源分区"),
    Column("source_offset", pa.int64(), "Offset in that partition", "来源位移"),
)
_READ = Table(
    "read",
    "One row per message with an event",
    "每条事件消息一行",
    (
        Column("partition", pa.int32(), "Partition of events.identified; -1: of the requests", "分区"),
        Column("position", pa.int64(), "Offset in it", "位移"),
        Column("written_ms", pa.int64(), "When the message was written", "写入时间"),
        Column("clock_ms", pa.int64(), "How far a backfill's clock was before it", "时钟"),
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        Column("type", pa.string(), "Type of the event", "事件类型"),
        Column("time", pa.int64(), "When it happened, epoch ms", "发生时间"),
        Column("part", pa.string(), "First identifier; null for a steward's command", "所属标识"),
        *_SOURCE,
    ),
)
_REFUSED = Table("refused", "One row per event refused after all", "被拒绝的事件", _SOURCE)
_OWNERS = Table(
    "owners",
    "One row per part",
    "每个部分一行",
    (
        Column("part", pa.string(), "Identifier", "标识"),
        Column("one_id", pa.string(), "Its person", "所属的人"),
    ),
)
_MOVED = Table(
    "moved",
    "One row per part that was given to a person",
    "每次交给某人的部分一行",
    (
        Column("partition", pa.int32(), "Partition of events.identified", "分区"),
        Column("position", pa.int64(), "Offset in it", "位移"),
        Column("step", pa.int64(), "Number of the decision", "决定序号"),
        Column("at_ms", pa.int64(), "Time of the evidence, epoch ms", "依据的时间"),
        Column("part", pa.string(), "Identifier", "标识"),
        Column("giver", pa.string(), "Who had it; null: it is new", "原属的人"),
        Column("taker", pa.string(), "Who has it from then on", "之后所属的人"),
    ),
)
_TABLES = (_READ, _REFUSED, _OWNERS, _MOVED)

_COUNTED = """
CREATE TEMP VIEW counted AS
SELECT * FROM read ANTI JOIN refused USING (source_topic, source_partition, source_offset)
"""
_EVENTS = """
SELECT event_id, arg_min(type, came) AS type, make_timestamp_ms(arg_min(time, came))::TIMESTAMPTZ AS time, one_id, part
FROM (SELECT *, (written_ms, partition, position) AS came FROM counted) LEFT JOIN owners USING (part)
GROUP BY event_id, part, one_id
ORDER BY time, event_id, part
"""
# An event is late if its person's clock was ahead of it when it came: by another event of the person, by a part that
# came to the person with later ones, by the evidence of a change of its parts, or by the clock of a backfill. Evidence
# is late if a person whose parts it moved had later events by then. It concerns everybody who has a part in the end
# that the person ever had. Each partition is read in order, so that its own messages say what came before what.
_LATE = """
WITH held AS (
    SELECT part, taker AS who FROM moved UNION SELECT part, giver FROM moved WHERE giver IS NOT NULL
    UNION SELECT part, one_id FROM owners
), concerned AS (
    SELECT DISTINCT who, one_id FROM held JOIN owners USING (part)
), first_came AS (
    SELECT * FROM (
        SELECT *, (source_topic, source_partition, source_offset) AS source,
            first_value((source_topic, source_partition, source_offset)) OVER (
                PARTITION BY part, event_id ORDER BY written_ms, partition, position
            ) AS first_source
        FROM counted WHERE part IS NOT NULL
    ) WHERE source IS NOT DISTINCT FROM first_source
), came AS (
    SELECT c.partition, c.position, c.event_id, c.part, c.time, c.clock_ms,
        coalesce(m.taker, owners.one_id) AS who, coalesce(m.step, 0) AS step
    FROM first_came c
    ASOF LEFT JOIN moved m ON c.part = m.part AND c.partition = m.partition AND c.position > m.position
    LEFT JOIN owners ON c.part = owners.part
), changes AS (
    SELECT DISTINCT partition, position, unnest([giver, taker]) AS who, at_ms AS time, giver IS NOT NULL AS of_two
    FROM moved
), brought AS (
    SELECT m.partition, m.position, m.taker AS who, max(c.time) AS time
    FROM moved m JOIN came c ON c.part = m.part AND c.step < m.step
    GROUP BY ALL
), seen AS (
    SELECT *, greatest(clock_ms, max(time) OVER (
        PARTITION BY who, partition ORDER BY position RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )) - time AS late_by_ms
    FROM (
        SELECT *, false AS of_two FROM came
        UNION ALL BY NAME SELECT * FROM changes WHERE who IS NOT NULL UNION ALL BY NAME SELECT * FROM brought
    )
), late AS (
    SELECT event_id, who, part, time, late_by_ms FROM seen WHERE event_id IS NOT NULL AND late_by_ms > 0
    UNION ALL
    SELECT e.event_id, o.who, e.part, e.time, o.late_by_ms FROM seen o JOIN counted e ON e.time = o.time
    WHERE o.of_two AND o.late_by_ms > 0
    AND (e.part IS NULL OR e.part IN (SELECT part FROM held WHERE held.who = o.who))
)
SELECT event_id, one_id, part, make_timestamp_ms(time)::TIMESTAMPTZ AS time, max(late_by_ms) AS late_by_ms
FROM late JOIN concerned USING (who) GROUP BY event_id, one_id, part, time
ORDER BY time, event_id, part, one_id
"""

CHANGE_ORDER = (
    "\"at\", evidence_event_id, list_position(['hub', 'split', 'merged', 'refused'], change), one_id, "
    "other_one_id NULLS FIRST, reason NULLS FIRST"
)
"""Changes of people in the order of their evidence, in SQL."""


class LiveEvents:
    """Gathers messages in `scratch`; `complete` writes `events.parquet` and `late_events.parquet`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._read, self._refused, self._owners, self._moved = (
            TableWriter(scratch / f"{table.name}.parquet", table) for table in _TABLES
        )

    def add(self, row: tuple[Any, ...]) -> None:
        """Append a message with an event: the columns of `_READ` in order."""
        self._read.add(row)
        self._read.flush_if_full()

    def refuse(self, topic: str, partition: int, offset: int) -> None:
        """Take note that the message of this source became a dead letter."""
        self._refused.add((topic, partition, offset))
        self._refused.flush_if_full()

    def move(self, row: tuple[Any, ...]) -> None:
        """Append a part that was given to a person: the columns of `_MOVED` in order."""
        self._moved.add(row)
        self._moved.flush_if_full()

    def complete(self, folder: Path, owners: Iterable[tuple[str, str]]) -> tuple[dict[str, int], int, int | None]:
        """Write both tables; `owners` are parts with their person's OneID.

        Returns how many events there are of each type, how many late ones, and the time of the last event in ms.
        """
        for row in owners:
            self._owners.add(row)
            self._owners.flush_if_full()
        self.close()
        connection = _sorter(self._scratch)
        try:
            for table in _TABLES:
                file = literal(str(self._scratch / f"{table.name}.parquet"))
                connection.execute(f"CREATE TEMP VIEW {table.name} AS SELECT * FROM read_parquet({file})")  # noqa: S608
            connection.execute(_COUNTED)
            write_rows(connection.sql(_EVENTS), folder / "events.parquet", EVENTS)
            write_rows(connection.sql(_LATE), folder / "late_events.parquet", LATE_EVENTS)
            [(late,)] = connection.execute(
                "SELECT count(DISTINCT event_id) FROM read_parquet(?)", [str(folder / "late_events.parquet")]
            ).fetchall()
            events = "read_parquet(?)"
            file = str(folder / "events.parquet")
            types = connection.execute(
                f"SELECT type, count(*) FROM {events} GROUP BY type ORDER BY type",  # noqa: S608
                [file],
            ).fetchall()
            [(last_ms,)] = connection.execute(f"SELECT epoch_ms(max(time)) FROM {events}", [file]).fetchall()  # noqa: S608
        finally:
            connection.close()
        return dict(types), late, last_ms

    def close(self) -> None:
        """Close the scratch files; again is no harm."""
        for writer in (self._read, self._refused, self._owners, self._moved):
            writer.close()


class LiveChanges:
    """Gathers changes of people in `scratch`; `complete` writes `identity_changes.parquet` in order of the evidence."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._path = scratch / "changes.parquet"
        self._writer = TableWriter(self._path, IDENTITY_CHANGES)

    def add(self, row: tuple[Any, ...]) -> None:
        """Append a change: the columns of the table."""
        self._writer.add(row)
        self._writer.flush_if_full()

    def complete(self, folder: Path) -> None:
        """Write the table."""
        self.close()
        connection = _sorter(self._scratch)
        try:
            rows = connection.sql(
                f"SELECT * FROM read_parquet(?) ORDER BY {CHANGE_ORDER}",  # noqa: S608  a constant
                params=[str(self._path)],
            )
            write_rows(rows, folder / "identity_changes.parquet", IDENTITY_CHANGES)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the scratch file; again is no harm."""
        self._writer.close()


def _sorter(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a database of bounded memory that sorts in the scratch folder."""
    connection = duckdb.connect(config={"temp_directory": str(scratch / "sort"), "threads": 2, "memory_limit": "2GB"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def fired_twice(folder: Path) -> list[str]:
    """Return the ids of triggers that stand more than once in `triggers.parquet` with one outcome; at most ten."""
    connection = duckdb.connect(config={"threads": 2})
    try:
        rows = connection.execute(
            "SELECT trigger_id FROM read_parquet(?) GROUP BY trigger_id, outcome HAVING count(*) > 1 LIMIT 10",
            [str(folder / "triggers.parquet")],
        ).fetchall()
    finally:
        connection.close()
    return sorted({trigger_id for (trigger_id,) in rows})
