"""A local database: bytes by key in RocksDB, a copy of something in Kafka that can be thrown away.

What is written at once is there at once or not at all, also after a crash. Whatever goes wrong is a StateError that
says what to do; a damaged database is emptied when it is opened, one that another process has open is not touched.
"""

import ctypes
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from schemas.errors import StateError

log = logging.getLogger(__name__)

STALL_S = 120
"""How long a write may have to wait for RocksDB. On a full disk it would wait for ever, saying nothing."""

_BROKEN = "kith-broken"
"""A file of this name in the folder says that the database is to be emptied when next opened."""

_DAMAGED = ("Corruption", "No such file")
_OTHERS_FAULT = ("IO error", "os error")
"""Words of an error of the database's own files, and of one that says nothing against them."""


class _Closed:
    """What stands in for a database that was let go."""

    def __getattr__(self, name: str) -> Any:
        raise DbClosedError("let go")


class Database:
    """The database in folder `path`, made if there is none; `memory_mb` is about what cache and write buffers take.

    One thread writes; any may read. After a failed write it refuses to go on, since what it holds is no longer what
    was asked for. With `logged`, what was written is there after the process was killed; without, it may then be as it
    was some writes ago. `purpose` names it in messages.
    """

    def __init__(self, path: Path, memory_mb: int, *, logged: bool = False, purpose: str = "store") -> None:
        self.path = path
        self._what = f"the {purpose} {path}"
        self._memory = memory_mb << 20
        self._writing = WriteOptions()
        # Properties, whatever their stubs say.
        self._writing.disable_wal = not logged  # type: ignore[assignment,method-assign]
        self._writing.no_slowdown = True
        self._writing.memtable_insert_hint_per_batch = True
        self._scan = ReadOptions()
        self._scan.fill_cache(False)  # type: ignore[call-arg]
        self._failed: str | None = None
        self._db: Any = self._open()

    # Opening

    def _open(self) -> Rdict:
        broken = self.path / _BROKEN
        try:
            if broken.exists():
                log.warning("%s was damaged: it is wiped and restored from Kafka", self._what)
                shutil.rmtree(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self.path), self._options())
        except Exception as error:
            text = str(error)
            damaged = any(word in text for word in _DAMAGED)
            if isinstance(error, OSError) or (not damaged and any(word in text for word in _OTHERS_FAULT)):
                raise StateError(self._advice(text)) from None
            log.warning("%s is damaged (%s): it is wiped and restored from Kafka", self._what, text)
        try:
            shutil.rmtree(self.path, ignore_errors=True)
            return Rdict(str(self.path), self._options())
        except Exception as error:
            raise StateError(self._advice(str(error))) from None

    def _options(self) -> Options:
        table = BlockBasedOptions()
        table.set_block_cache(Cache(self._memory // 4))
        table.set_bloom_filter(10, False)
        table.set_block_size(4 << 10)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(self._memory // 2)
        options.set_max_write_buffer_number(2)
        options.set_level_compaction_dynamic_level_bytes(True)
        options.set_max_background_jobs(2)
        options.set_level_zero_slowdown_writes_trigger(36)  # as many as stop writes: none are slowed down before
        options.set_max_open_files(200)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        return options

    def first(self, key: bytes) -> bytes | None:
        """Return the value of a key, as `get`, of a database just opened; None too if that cannot be read."""
        try:
            value: bytes | None = self._db.get(key)
            return value
        except Exception as error:
            log.warning("%s is damaged (%s): it is wiped and restored from Kafka", self._what, error)
            return None

    def empty(self) -> None:
        """Remove everything; it is then as a new one."""
        self._db.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._db = self._open()
        self._failed = None

    # Reading

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        try:
            value: bytes | None = self._db.get(key)
            return value
        except Exception as error:
            raise self._failure(error) from None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None for those there are none of."""
        try:
            values: list[bytes | None] = self._db.get(keys)
            return values
        except Exception as error:
            raise self._failure(error) from None

    def range(self, begin: bytes, end: bytes | None = None, *, keys: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `begin` to before `end` with their values, or nothing in their place."""
        try:
            walk = self._db.iter(self._scan)
            walk.seek(begin)
            while walk.valid():
                key = walk.key()
                if end is not None and key >= end:
                    break
                yield key, b"" if keys else walk.value()
                walk.next()
            else:
                walk.status()
        except GeneratorExit:
            raise
        except Exception as error:
            raise self._failure(error) from None

    # Writing

    def write(self, fill: Callable[[WriteBatch], None]) -> None:
        """Write what `fill` puts into a batch, all or nothing; it is asked again if RocksDB has to be waited for.

        RocksDB may have too much to bring to the disk, but is not waited for without end.
        """
        begun = time.monotonic()
        while not self._try(fill):
            waited = time.monotonic() - begun
            if waited > 1 and self._disk_full(self.size_bytes()):  # compaction needs as much again, at most
                raise self._failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), writing=True)
            if waited > STALL_S:
                raise self._failure(TimeoutError(f"a write waited for {STALL_S} s"), writing=True)
            time.sleep(0.005)

    def _try(self, fill: Callable[[WriteBatch], None]) -> bool:
        """Write and return True, or False if that would have had to wait."""
        if self._failed is not None:
            raise StateError(self._failed)
        try:
            batch = WriteBatch(raw_mode=True)
            fill(batch)
            self._db.write(batch, self._writing)
        except StateError:
            raise
        except Exception as error:
            if "Write stall" in str(error):
                return False
            raise self._failure(error, writing=True) from None
        return True

    # The files

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        try:
            if self._disk_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._db.flush()
        except Exception as error:
            raise self._failure(error, writing=True) from None

    def close(self) -> None:
        """Flush and close; what cannot be flushed is restored from Kafka next time."""
        try:
            if self._failed is None and not self._disk_full():
                self._db.close()
                return
        except DbClosedError:
            return
        except Exception as error:
            log.warning("%s", self._advice(str(error)))
        # RocksDB flushes whenever it is closed, by its destructor too, and on a full disk waits for room without end.
        # So it is let go as it is, never to be destructed; its lock goes with the process.
        if not isinstance(self._db, _Closed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._db))
            self._db = _Closed()

    def size_bytes(self) -> int:
        """Return the size: its files and what is yet to be flushed."""
        try:
            names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
            return sum(self._db.property_int_value(name) or 0 for name in names)
        except Exception as error:
            raise self._failure(error) from None

    def _disk_full(self, needed: int = 0) -> bool:
        return shutil.disk_usage(self.path).free < self._memory + needed

    def condemn(self, why: str) -> StateError:
        """See to it that what is damaged is not used again; return the error to be raised."""
        return self._failure(ValueError(f"Corruption: {why}"))

    def _failure(self, error: Exception, writing: bool = False) -> StateError:
        """Return the error to be raised; see to it that a damaged database is not used again."""
        text = str(error)
        if isinstance(error, DbClosedError):
            return StateError(f"{self._what} is closed")
        if "Corruption" in text:
            try:
                (self.path / _BROKEN).touch()
            except OSError as cause:
                text += f"; {cause}"
        advice = self._advice(text)
        if writing:
            self._failed = advice
        return StateError(advice)

    def _advice(self, text: str) -> str:
        """Say what went wrong, and what to do."""
        low = text.lower()
        what = self._what
        if "no space" in low or "file too large" in low or "quota" in low:
            return f"the disk of {what} is full ({text}): make room and start again, nothing is lost"
        if "corruption" in low:
            return f"{what} is damaged ({text}): start again, it is then restored from Kafka"
        if "/LOCK" in text:
            return f"{what} is in use: stop the other worker, or give each worker its own folder ({text})"
        return f"{what} cannot be used ({text}): see to the disk and its rights, then start again"
