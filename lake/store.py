"""Where the lake lies: a local folder, or any other file system that pyarrow knows by URL.

Files appear whole or not at all: object stores work that way by themselves, and in a folder a file is written beside
its place, synced and renamed.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from schemas.errors import ConfigError, TransientError

ROW_GROUP = 50_000
"""Rows of a row group: its least and greatest values let readers skip it."""


class Info(NamedTuple):
    """A file: path from the lake's root, bytes, and when it was last written in epoch seconds."""

    path: str
    size: int
    written_s: float


class LakeStore:
    """The files of one lake; every path is relative to its root, with `/` between names.

    `url` is a folder (`kith-data/lake`) or a URL (`s3://bucket/folder`, credentials and endpoint from the environment:
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL). Raises ConfigError if it is neither.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.local: Path | None = None
        if "://" not in url or url.startswith("file://"):
            self.local = Path(url.removeprefix("file://")).absolute()
            self.filesystem: Any = fs.LocalFileSystem()
            self.root = self.local.as_posix()
        else:
            try:
                self.filesystem, root = fs.FileSystem.from_uri(url)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise ConfigError(f"lake.url: {url}: {error}") from error
            self.root = root.rstrip("/")

    def full(self, path: str) -> str:
        """Return a path as the file system knows it."""
        return f"{self.root}/{path}" if path else self.root

    def read_bytes(self, path: str) -> bytes | None:
        """Return what a file holds, None if there is none."""
        try:
            with self.filesystem.open_input_stream(self.full(path)) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TransientError(f"{self.url}: {path} cannot be read: {error}") from error

    def write_bytes(self, path: str, content: bytes) -> None:
        """Put a file, in the place of one that is there."""
        with self._new(path) as file:
            file.write(content)

    def write_table(self, path: str, table: pa.Table) -> int:
        """Put a Parquet file (zstd, with statistics) and return its size in bytes."""
        with self._new(path) as file:
            pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP, write_statistics=True)
            return int(file.tell())

    def write_batches(self, path: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Put a Parquet file as `write_table`, of batches with this schema; return its size in bytes."""
        with self._new(path) as file:
            with pq.ParquetWriter(file, schema, compression="zstd", write_statistics=True) as writer:
                for batch in batches:
                    writer.write_batch(batch, row_group_size=ROW_GROUP)
            return int(file.tell())

    def delete(self, path: str) -> None:
        """Remove a file; again is no harm."""
        try:
            self.filesystem.delete_file(self.full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise TransientError(f"{self.url}: {path} cannot be removed: {error}") from error

    def each(self, folder: str = "") -> Iterator[Info]:
        """Yield every file below a folder, sorted by path; none if there is no such folder. Unfinished ones too."""
        selector = fs.FileSelector(self.full(folder), recursive=True, allow_not_found=True)
        try:
            found = self.filesystem.get_file_info(selector)
        except OSError as error:
            raise TransientError(f"{self.url}: cannot be listed: {error}") from error
        for info in sorted(found, key=lambda info: str(info.path)):
            if info.type == fs.FileType.File:
                yield Info(info.path[len(self.root) + 1 :], info.size, info.mtime_ns / 1e9 if info.mtime_ns else 0.0)

    @contextmanager
    def _new(self, path: str) -> Iterator[IO[bytes] | Any]:
        try:
            if self.local is None:
                with self.filesystem.open_output_stream(self.full(path)) as file:
                    yield file
            else:
                with _beside(self.local / path) as file:
                    yield file
        except OSError as error:
            raise TransientError(f"{self.url}: {path} cannot be written: {error}") from error


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
