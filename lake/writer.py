"""Writing tables: rows into Parquet batch by batch, and a folder that appears whole or not at all."""

import ctypes
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lake.tables import TABLES, Table
from schemas.errors import ConfigError

BATCH_ROWS = 50_000
"""Rows per row group: large enough to compress well, small enough to hold as Python objects."""

FINISHED = "summary.json"
"""Written last; a folder without it was not written by Kith, or not to its end."""


class TableWriter:
    """Appends rows to one Parquet file (zstd). Rows are tuples in the order of the table's columns; times are ints
    of epoch milliseconds. With `scratch` it is an Arrow file instead, which costs less to write and to read again.
    """

    def __init__(self, path: Path, table: Table, batch_rows: int = BATCH_ROWS, *, scratch: bool = False) -> None:
        self._batch_rows = batch_rows
        self._schema = table.schema
        self._writer: Any
        if scratch:
            self._writer = pa.ipc.new_file(path, self._schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        else:
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._buffer: list[tuple[Any, ...]] = []
        self.add = self._buffer.append

    def flush_if_full(self) -> None:
        """Write the rows gathered once there are enough; call it now and then after `add`."""
        if len(self._buffer) >= self._batch_rows:
            self._flush()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append a batch that has the table's schema already."""
        self._flush()
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        buffer = self._buffer
        if not buffer:
            return
        columns = zip(*buffer, strict=True)
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        buffer.clear()


def write_rows(rows: duckdb.DuckDBPyRelation, path: Path, table: Table) -> int:
    """Write what a query gives to a Parquet file with the table's columns; return the number of rows."""
    writer = TableWriter(path, table)
    count = 0
    for batch in rows.to_arrow_reader(BATCH_ROWS):
        arrays = [batch.column(column.name).cast(column.type) for column in table.columns]
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=table.schema))
        count += batch.num_rows
    writer.close()
    return count


_LIBC = ctypes.CDLL(None)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h

STAGING = ".kith-part"
LOCK, NEW, OLD = "lock", "new", "old"


WRITTEN = frozenset(
    [f"{table.name}.parquet" for table in TABLES]
    + [f"{name}.parquet" for name in ("people", "identifiers", "tag_changes", "surveys", "snapshot")]
    + ["profiles.parquet", "late_events.parquet", "kith.duckdb", "kith.duckdb.wal", FINISHED]
    + ["events.jsonl", "kith.yaml", "truth.parquet", "report.html"]
)
"""What a replay, an export, a snapshot or a demo writes, and so may replace."""


def check_target(out: Path) -> None:
    """Raise ConfigError unless `out` can be written: absent, empty, or an earlier result that may be replaced."""
    out = out.resolve()
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; --out names a folder")
    if out.is_dir():
        names = sorted(path.name for path in out.iterdir())
        others = [name for name in names if name not in WRITTEN]
        if others or (names and FINISHED not in names):
            other = others[0] if others else names[0]
            raise ConfigError(f"{out}: holds other files, such as {other}; name a new folder, or an earlier result")
    parent = out.parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"{out}: {parent} cannot be written")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write in, which becomes `out` when the block ends well and vanishes when it does not.

    An earlier result at `out` stays until the new one is complete. What a run that was killed left beside `out` is
    swept away first.
    """
    check_target(out)
    out = out.resolve()  # of a link, what it points to
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=STAGING, dir=out.parent))
    try:
        with (staging / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system, however the process ends
            (staging / NEW).mkdir()
            yield staging / NEW
            _exchange(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _exchange(staging: Path, out: Path) -> None:
    """Put the new folder in the place of the old, in one step where the system can.

    Elsewhere there is none for a moment; if the process dies then, `_sweep` goes on.
    """
    if out.exists():
        if _swapped(staging / NEW, out):
            return
        out.rename(staging / OLD)
    (staging / NEW).rename(out)


def _swapped(one: Path, other: Path) -> bool:
    """Exchange two folders' names in one step; return False if the system or the file system cannot."""
    renameat2 = getattr(_LIBC, "renameat2", None)
    if renameat2 is None:
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sweep(out: Path) -> None:
    for staging in sorted(out.parent.glob(f".{glob.escape(out.name)}.*{STAGING}")):
        try:
            with (staging / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (staging / OLD).exists() and not out.exists():
                    _exchange(staging, out)
                shutil.rmtree(staging, ignore_errors=True)
        except BlockingIOError:
            continue  # another run is at work there
        except FileNotFoundError:
            continue  # it has only just begun, or has just ended
