"""Rows whose person is known only at the end: written without one first, completed when people are final."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lake.tables import EVENTS, TRIGGERS, Column, Table
from lake.writer import BATCH_ROWS, TableWriter

PART = Column("part", pa.string(), "Identifier whose part the row belongs to", "所属标识")

_EVENTS_NO_PERSON = Table(
    "events", EVENTS.en, EVENTS.zh, tuple(column for column in EVENTS.columns if column.name != "one_id")
)
_TRIGGERS_NO_PERSON = Table(
    "triggers", TRIGGERS.en, TRIGGERS.zh, (*(c for c in TRIGGERS.columns if c.name != "one_id"), PART)
)
_TRIGGER_ORDER = "coalesce(fired_at, due_at), due_at, rule, instance NULLS FIRST, trigger_id"


class LateTriggers:
    """Gathers the triggers of a run in `scratch`; `complete` writes the table to `folder`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._writer = TableWriter(scratch / "triggers.parquet", _TRIGGERS_NO_PERSON)

    def add(self, row: tuple[Any, ...]) -> None:
        """Append a trigger: the columns of the table without one_id, then the part of its anchor."""
        self._writer.add(row)
        self._writer.flush_if_full()

    def complete(self, folder: Path, owner: Callable[[str], str | None]) -> None:
        """Write `triggers.parquet`; `owner` gives the OneID that holds a part at the end."""
        self.close()
        connection = duckdb.connect(config={"temp_directory": str(self._scratch / "sort-triggers"), "threads": 2})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.sql(
                f"SELECT * FROM read_parquet(?) ORDER BY {_TRIGGER_ORDER}",  # noqa: S608  a constant
                params=[str(self._scratch / "triggers.parquet")],
            )
            _complete(rows.to_arrow_reader(BATCH_ROWS), folder / "triggers.parquet", TRIGGERS, owner)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the scratch file; again is no harm."""
        self._writer.close()


class LatePerson:
    """Gathers the events and triggers of a run in `scratch`; `complete` writes both tables to `folder`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._events = TableWriter(scratch / "events.parquet", _EVENTS_NO_PERSON)
        self._triggers = LateTriggers(scratch)
        self.trigger = self._triggers.add

    def event(self, row: tuple[str, str, int, str | None]) -> None:
        """Append an event: id, type, time in ms, part (None for a steward's command)."""
        self._events.add(row)
        self._events.flush_if_full()

    def complete(self, folder: Path, owner: Callable[[str], str | None]) -> None:
        """Write `events.parquet` and `triggers.parquet`; `owner` gives the OneID that holds a part at the end."""
        self._events.close()
        with pq.ParquetFile(self._scratch / "events.parquet") as file:
            _complete(file.iter_batches(BATCH_ROWS), folder / "events.parquet", EVENTS, owner)
        self._triggers.complete(folder, owner)


def _complete(batches: Any, path: Path, table: Table, owner: Callable[[str], str | None]) -> None:
    writer = TableWriter(path, table)
    for batch in batches:
        people = [None if part is None else owner(part) for part in batch.column("part").to_pylist()]
        arrays = [
            pa.array(people, pa.string()) if column.name == "one_id" else batch.column(column.name).cast(column.type)
            for column in table.columns
        ]
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=table.schema))
    writer.close()
