"""Bytes of a file, a pipe or standard input, decompressed by what they are and not by how they are called."""

import csv
import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import zstandard

from schemas.errors import ConfigError

STDIN = "-"
CHUNK_BYTES = 1 << 20
# A zstd frame can grow 30,000-fold: 8 KiB of input bound what one step can put into memory.
ZSTD_INPUT_BYTES = 1 << 13
ZSTD_WINDOW_BYTES = 1 << 31  # what `zstd --long=31` writes

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PARQUET = b"PAR1"
_SKIPPABLE = b"\x2a\x4d\x18"  # a zstd frame of metadata: 0x184D2A50 to 0x184D2A5F, little-endian

Form = Literal["plain", "gzip", "zstd", "parquet"]


class Progress:
    """How far reading has come, in bytes as they are stored. `total` is 0 when a pipe's size is unknown."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.done = 0


def total_bytes(paths: list[str]) -> int:
    """Return the size of the files together, 0 when standard input is among them."""
    total = 0
    for path in paths:
        if path == STDIN:
            return 0
        with suppress(OSError):  # a missing file is reported where it is read
            total += Path(path).stat().st_size
    return total


@contextmanager
def whole(path: str) -> Iterator[None]:
    """Turn whatever shows that a file cannot be read whole into a ConfigError that names it."""
    try:
        yield
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the files in it") from None
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not {error.encoding} text (byte {error.object[error.start : error.start + 1].hex()}); "
            "name the right one in the mapping: `csv: {encoding: gbk}`"
        ) from None
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowException, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read whole: {error}") from None


class Opened:
    """An open file: its form by its first bytes, and its plain bytes as chunks or as a readable stream."""

    def __init__(self, path: str, file: IO[bytes], progress: Progress) -> None:
        self.path = path
        self._file = file
        self._progress = progress
        self._head = file.read(4)
        while 0 < len(self._head) < 4 and (more := file.read(4 - len(self._head))):
            self._head += more
        progress.done += len(self._head)
        self.form: Form = _form(self._head)

    def stored(self, size: int = CHUNK_BYTES) -> bytes:
        """Return up to `size` bytes as they are stored, empty at the end."""
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        data = self._file.read(size)
        self._progress.done += len(data)
        return data

    def read_rows(self, rows: int, total: int) -> None:
        """Count rows of a Parquet file, which is not read in the order of its bytes, into the progress."""
        if self.path != STDIN and total:
            self._progress.done += Path(self.path).stat().st_size * rows // total

    def chunks(self) -> Iterator[bytes]:
        """Yield the plain bytes; none is empty. Raises EOFError and the like when the compressed form breaks off."""
        if self.form == "zstd":
            yield from self._unzstd()
            return
        read = gzip.GzipFile(fileobj=_Stream(self)).read if self.form == "gzip" else self.stored  # type: ignore[call-overload]
        while chunk := read(CHUNK_BYTES):
            yield chunk

    def _unzstd(self) -> Iterator[bytes]:
        maker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        frame = None
        while data := self.stored(ZSTD_INPUT_BYTES):
            while data:
                if frame is None:
                    frame = maker.decompressobj()
                if plain := frame.decompress(data):
                    yield plain
                data = b""
                if frame.eof:
                    data, frame = frame.unused_data, None
        if frame is not None:
            raise EOFError("the zstd frame ends before its end marker")


@contextmanager
def opened(path: str, progress: Progress | None = None) -> Iterator[Opened]:
    """Open a path or, for `-`, standard input. Raises OSError."""
    progress = progress or Progress()
    if path == STDIN:
        yield Opened(path, sys.stdin.buffer, progress)
        return
    with Path(path).open("rb", buffering=0) as file:
        yield Opened(path, file, progress)


def _form(head: bytes) -> Form:
    if head.startswith(_GZIP):
        return "gzip"
    if head == _ZSTD or (len(head) == 4 and head[1:] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F):
        return "zstd"
    return "parquet" if head == _PARQUET else "plain"


class _Stream:
    """The least of a file that GzipFile reads from."""

    def __init__(self, source: Opened) -> None:
        self._source = source

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        return self._source.stored(max(size, 1))
