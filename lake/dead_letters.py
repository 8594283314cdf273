"""The dead letters of a run, gathered as they are met and written in the order of the files and lines."""

from pathlib import Path

import duckdb
import pyarrow as pa

from lake.tables import DEADLETTERS, Column, Table
from lake.writer import TableWriter

BATCH_ROWS = 1_000
"""Dead letters may be megabytes each."""

_PLACE = Column("place", pa.int64(), "Which of the files", "文件序号")
_GATHERED = Table(
    "deadletters", DEADLETTERS.en, DEADLETTERS.zh, (_PLACE, *(c for c in DEADLETTERS.columns if c.name != "source"))
)


class DeadLetters:
    """Gathers dead letters in `scratch`; `complete` writes the table to `folder`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._writer = TableWriter(scratch / "deadletters.parquet", _GATHERED, BATCH_ROWS)

    def add(self, place: int, row: tuple[int, str, str, bytes]) -> None:
        """Append a dead letter: which file, then line, reason, detail and raw bytes."""
        self._writer.add((place, *row))
        self._writer.flush_if_full()

    def complete(self, folder: Path, sources: list[str]) -> None:
        """Write `deadletters.parquet`; `sources` are the names of the files."""
        self.close()
        writer = TableWriter(folder / "deadletters.parquet", DEADLETTERS, BATCH_ROWS)
        connection = duckdb.connect(config={"temp_directory": str(self._scratch / "sort-deadletters"), "threads": 2})
        try:
            rows = connection.sql(
                "SELECT * FROM read_parquet(?) ORDER BY place, line, reason, raw",
                params=[str(self._scratch / "deadletters.parquet")],
            )
            for batch in rows.to_arrow_reader(BATCH_ROWS):
                names = [sources[place] for place in batch.column("place").to_pylist()]
                arrays = [pa.array(names, pa.string()), *batch.columns[1:]]
                fields = zip(arrays, DEADLETTERS.schema, strict=True)
                columns = [array.cast(field.type) for array, field in fields]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=DEADLETTERS.schema))
        finally:
            connection.close()
        writer.close()

    def close(self) -> None:
        """Close the scratch file; again is no harm."""
        self._writer.close()
