"""A sort of more rows than fit in memory: sorted runs in files of a private folder, merged as they are read."""

import heapq
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

BUFFER_BYTES = 128 << 20
FRAME_BYTES = 1 << 16  # of every run one frame is in memory while runs are merged
FRAME_ROWS = 64
MAX_RUNS = 64  # merged at a time: 4 MiB of frames, and far from any limit of open files
ROW_BYTES = 250  # what a row costs besides its texts: the tuple, its objects and their places

_encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
Row = TypeVar("Row", bound=tuple[Any, ...])


class Spill(Generic[Row]):
    """Rows to be sorted as tuples: numbers, texts by code points, bytes by value, no nulls.

    `row` is the tuple's type, for reading it back. The folder is made below `folder` (default: the system's) when the
    buffer first overflows, and removed by `close`.
    """

    def __init__(self, row: Any, buffer_bytes: int = BUFFER_BYTES, folder: Path | None = None) -> None:
        self._decode: Callable[[bytes], list[Row]] = msgspec.msgpack.Decoder(list[row]).decode
        self._limit = buffer_bytes
        self._parent = folder
        self._folder: Path | None = None
        self._levels: list[list[Path]] = []  # a run of level n is MAX_RUNS runs of level n - 1
        self._written = 0
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row, size: int) -> None:
        """Add a row; `size` is about the bytes of its texts."""
        self._rows.append(row)
        self._bytes += size + ROW_BYTES
        if self._bytes >= self._limit:
            self._rows.sort()
            self._keep(self._write(iter(self._rows)), 0)
            self._rows = []
            self._bytes = 0

    @property
    def spilled(self) -> bool:
        """Whether rows are on disk."""
        return self._folder is not None

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order. May be called again; no rows are added afterwards."""
        self._rows.sort()
        runs = [path for level in self._levels for path in level]
        return heapq.merge(*[self._read(path) for path in runs], self._rows) if runs else iter(self._rows)

    def close(self) -> None:
        """Remove everything."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._levels = []
        self._rows = []

    def __enter__(self) -> "Spill[Row]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, run: Path, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(run)
        if len(runs) >= MAX_RUNS:
            merged = self._write(heapq.merge(*[self._read(path) for path in runs]))
            for path in runs:
                path.unlink()
            runs.clear()
            self._keep(merged, level + 1)

    def _write(self, rows: Iterator[Row]) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kith-sort-", dir=self._parent))
        path = self._folder / f"{self._written}.run"
        self._written += 1
        with path.open("wb") as file:
            while some := list(islice(rows, FRAME_ROWS)):
                _put(file, some)
        return path

    def _read(self, path: Path) -> Iterator[Row]:
        with path.open("rb") as file:
            while size := file.read(8):
                yield from self._decode(file.read(int.from_bytes(size, "little")))


def _put(file: BinaryIO, rows: list[Any]) -> None:
    """Write rows as frames of a length and a list."""
    data = _encode(rows)
    if len(data) > FRAME_BYTES and len(rows) > 1:
        half = len(rows) // 2
        _put(file, rows[:half])
        _put(file, rows[half:])
        return
    file.write(len(data).to_bytes(8, "little"))
    file.write(data)
