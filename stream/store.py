"""The local store of one partition: the records of its changelog, as of a known offset, in RocksDB.

It is a copy that can be thrown away: what counts is the changelog. So there is no write-ahead log. After a crash the
store is as it was some batches ago, whole, and knows the offset from which to read on.

Records are kept under the first byte of their key here: `p` a person, `m` a meta record. Beside them stand two indexes,
written in the same batch: `t` + time + OneID for people with something due, `u` + OneID for people to be published; and
`s`, the offset and the counts.
"""

import ctypes
import errno
import logging
import os
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
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
from stream.person import ABSENT, Entry, entry_of
from triggers.instances import NEVER

log = logging.getLogger(__name__)

META = b"\0"
"""The first byte of the key of a meta record; no OneID begins with it."""

MAX_AGE_S = 12 * 3600
"""A store not written for longer is read anew: Kafka keeps the mark of a deletion for a day, then compaction drops it,
and the store would never learn of the deletion."""

STALL_S = 120
"""How long a write may have to wait for RocksDB. On a full disk it would wait for ever, saying nothing."""

CHUNK = 5_000
"""Records restored in one batch."""

_STATE_KEY = b"s"
_STATE = struct.Struct(">qqqqq")
"""Version, offset, when last written live (epoch s), people, people to be published."""

_VERSION = 1
_TIME = struct.Struct(">q")
_BROKEN = "kith-broken"
"""A file of this name in the folder says that the store is to be wiped when next opened."""

_DAMAGED = ("Corruption", "No such file")
_OTHERS_FAULT = ("IO error", "os error")
"""Words of an error of the store's own files, and of one that says nothing against them."""


class _Closed:
    """What stands in for a database that was let go."""

    def __getattr__(self, name: str) -> Any:
        raise DbClosedError("let go")


class Store:
    """The store in folder `path`, made if there is none; `memory_mb` is about what its cache and write buffers take.

    One thread writes; any may read. Every method raises StateError when the store cannot be read or written (disk
    full, damaged, closed) and the message says what to do; after a failed write the store refuses to go on, since what
    it holds is no longer what was asked for. A damaged store is wiped when it is opened, one that another process
    has open is not touched.
    """

    def __init__(self, path: Path, memory_mb: int = 64, max_age_s: float = MAX_AGE_S) -> None:
        self.path = path
        self._memory = memory_mb << 20
        self._unlogged = WriteOptions()
        # A property, whatever its stub says.
        self._unlogged.disable_wal = True  # type: ignore[assignment,method-assign]
        self._unlogged.no_slowdown = True
        self._unlogged.memtable_insert_hint_per_batch = True
        self._scan = ReadOptions()
        self._scan.fill_cache(False)  # type: ignore[call-arg]
        self._failed: str | None = None
        self._db: Any = self._open()
        state = self._state()
        if state is None or state[0] != _VERSION:
            state = self._fresh()
        elif (state[1] or state[3]) and time.time() - state[2] > max_age_s:
            log.warning("the store %s was last written long ago and is restored anew", path)
            state = self._fresh()
        _, self.offset, self._written_s, self._people, self._unpublished = state
        self._timers_from = 0
        self._publish_from = b"u"

    # Opening

    def _open(self) -> Rdict:
        broken = self.path / _BROKEN
        try:
            if broken.exists():
                log.warning("the store %s was damaged: it is wiped and restored from the changelog", self.path)
                shutil.rmtree(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self.path), self._options())
        except Exception as error:
            text = str(error)
            damaged = any(word in text for word in _DAMAGED)
            if isinstance(error, OSError) or (not damaged and any(word in text for word in _OTHERS_FAULT)):
                raise StateError(_advice(self.path, text)) from None
            log.warning("the store %s is damaged (%s): it is wiped and restored from the changelog", self.path, text)
        try:
            shutil.rmtree(self.path, ignore_errors=True)
            return Rdict(str(self.path), self._options())
        except Exception as error:
            raise StateError(_advice(self.path, str(error))) from None

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

    def _state(self) -> tuple[int, ...] | None:
        try:
            stored = self._db.get(_STATE_KEY)
        except Exception as error:
            log.warning("the store %s is damaged (%s): it is wiped and restored from the changelog", self.path, error)
            return None
        return _STATE.unpack(stored) if stored is not None and len(stored) == _STATE.size else None

    def _fresh(self) -> tuple[int, ...]:
        """Empty the store and give it a beginning."""
        self._db.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._db = self._open()
        return _VERSION, 0, int(time.time()), 0, 0

    # Reading

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a changelog key: the OneID's bytes, or META + name."""
        try:
            value: bytes | None = self._db.get(_inner(key))
            return value
        except Exception as error:
            raise self._failure(error) from None

    def person(self, one_id: str) -> bytes | None:
        """Return the stored form of a person."""
        return self.get(one_id.encode())

    def people(self) -> Iterator[tuple[str, bytes]]:
        """Yield OneID and stored form of every person, by OneID."""
        for key, value in self._range(b"p", b"q"):
            yield key[1:].decode(), value

    def one_ids(self) -> Iterator[str]:
        """Yield every OneID, sorted."""
        for key, _ in self._range(b"p", b"q", keys=True):
            yield key[1:].decode()

    def __len__(self) -> int:
        """Return the number of people."""
        return self._people

    @property
    def to_publish(self) -> int:
        """The number of people whose profile is yet to be published."""
        return self._unpublished

    def due(self, until_ms: int, limit: int) -> list[str]:
        """Return the OneIDs of at most `limit` people with something due by that instant, the earliest first."""
        return [one_id for _, one_id in self.timers(until_ms, limit)]

    def timers(self, until_ms: int, limit: int) -> list[tuple[int, str]]:
        """Return what `due` does with its time, in order."""
        found: list[tuple[int, str]] = []
        if until_ms < self._timers_from:
            return found
        # Entries that were worked off leave gaps that RocksDB would step over each time, so the search begins where
        # the earliest entry is known to be.
        begin = b"t" + _TIME.pack(self._timers_from)
        first = NEVER
        for key, _ in self._range(begin, b"u", keys=True):
            at_ms = _TIME.unpack_from(key, 1)[0]
            first = min(first, at_ms)
            if at_ms > until_ms or len(found) >= limit:
                break
            found.append((at_ms, key[9:].decode()))
        self._timers_from = first
        return found

    def unpublished(self, limit: int) -> list[str]:
        """Return the OneIDs of at most `limit` people to be published; further calls go on with others, in turn."""
        if self._unpublished == 0:
            return []
        found: list[str] = []
        start = self._publish_from
        for begin, end in ((start, b"v"), (b"u", start)):
            for key, _ in self._range(begin, end, keys=True):
                if len(found) >= limit:
                    self._publish_from = key
                    return found
                found.append(key[1:].decode())
        self._publish_from = b"u"
        return found

    def _range(self, begin: bytes, end: bytes, keys: bool = False) -> Iterator[tuple[bytes, bytes]]:
        try:
            walk = self._db.iter(self._scan)
            walk.seek(begin)
            while walk.valid():
                key = walk.key()
                if key >= end:
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

    def write(
        self,
        records: Mapping[bytes, bytes | None],
        offset: int | None = None,
        before: Mapping[bytes, Entry] | None = None,
    ) -> None:
        """Write records of the changelog, None for gone, and the offset after them, all or nothing.

        Without an `offset` the old one stays: after a crash these records are then read again. `before` may tell what
        entries the store has now of some of the people, ABSENT for nobody, which saves looking them up.
        """
        self._write(records, offset, before or {}, int(time.time()))

    def restore(self, records: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write records read from the changelog, the oldest first, and the offset after the last of them."""
        chunk: dict[bytes, bytes | None] = {}
        for key, value in records:
            chunk[key] = value
            if len(chunk) >= CHUNK:
                self._write(chunk, None, {}, self._written_s)
                chunk = {}
        self._write(chunk, offset, {}, self._written_s)

    def _write(
        self, records: Mapping[bytes, bytes | None], offset: int | None, before: Mapping[bytes, Entry], written_s: int
    ) -> None:
        """Write, waiting while RocksDB has too much to bring to the disk, but not without end."""
        begun = time.monotonic()
        while not self._try(records, offset, before, written_s):
            waited = time.monotonic() - begun
            if waited > 1 and self._disk_full(self.size_bytes()):  # compaction needs as much again, at most
                raise self._failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), writing=True)
            if waited > STALL_S:
                raise self._failure(TimeoutError(f"a write waited for {STALL_S} s"), writing=True)
            time.sleep(0.005)

    def _try(
        self, records: Mapping[bytes, bytes | None], offset: int | None, before: Mapping[bytes, Entry], written_s: int
    ) -> bool:
        """Write and return True, or False if that would have had to wait."""
        if self._failed is not None:
            raise StateError(self._failed)
        try:
            entries = self._entries(records, before)
            batch = WriteBatch(raw_mode=True)
            put, delete, time_of = batch.put, batch.delete, _TIME.pack
            people, unpublished, timers_from = self._people, self._unpublished, self._timers_from
            moved: list[tuple[bytes, int, int]] = []
            for key, value in records.items():
                if key[:1] == META:
                    if value is None:
                        delete(b"m" + key[1:])
                    else:
                        put(b"m" + key[1:], value)
                    continue
                old = entries.get(key, ABSENT)
                if value is not None:
                    new = entry_of(value)
                    put(b"p" + key, value)
                    if old is ABSENT:
                        people += 1
                elif old is not ABSENT:
                    new = ABSENT
                    delete(b"p" + key)
                    people -= 1
                else:
                    continue
                if old[0] != new[0]:
                    moved.append((key, old[0], new[0]))
                if old[1] != new[1]:
                    if new[1]:
                        put(b"u" + key, b"")
                        unpublished += 1
                    else:
                        delete(b"u" + key)
                        unpublished -= 1
            for key, old_ms, new_ms in moved:
                if 0 <= old_ms < NEVER:
                    delete(b"t" + time_of(old_ms) + key)
                if 0 <= new_ms < NEVER:
                    put(b"t" + time_of(new_ms) + key, b"")
                    if new_ms < timers_from:
                        timers_from = new_ms
            after = self.offset if offset is None else offset
            put(_STATE_KEY, _STATE.pack(_VERSION, after, written_s, people, unpublished))
            self._db.write(batch, self._unlogged)
        except StateError:
            raise
        except Exception as error:
            if "Write stall" in str(error):
                return False
            raise self._failure(error, writing=True) from None
        self.offset, self._written_s = after, written_s
        self._people, self._unpublished, self._timers_from = people, unpublished, timers_from
        return True

    def _entries(self, records: Mapping[bytes, bytes | None], before: Mapping[bytes, Entry]) -> Mapping[bytes, Entry]:
        """Return what the store has of the people of these records; nobody is left out, or ABSENT."""
        unknown = [key for key in records if key not in before and key[:1] != META]
        if not unknown:
            return before
        stored: Any = self._db.get([b"p" + key for key in unknown])
        entries = dict(before)
        for key, value in zip(unknown, stored, strict=True):
            if value is not None:
                entries[key] = entry_of(value)
        return entries

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
        """Flush and close; what cannot be flushed is restored from the changelog next time."""
        try:
            if self._failed is None and not self._disk_full():
                self._db.close()
                return
        except DbClosedError:
            return
        except Exception as error:
            log.warning("%s", _advice(self.path, str(error)))
        # RocksDB flushes whenever it is closed, by its destructor too, and on a full disk waits for room without end.
        # So it is let go as it is, never to be destructed; its lock goes with the process.
        if not isinstance(self._db, _Closed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._db))
            self._db = _Closed()

    def _disk_full(self, needed: int = 0) -> bool:
        return shutil.disk_usage(self.path).free < self._memory + needed

    def wipe(self) -> None:
        """Empty the store; it is then as a new one."""
        _, self.offset, self._written_s, self._people, self._unpublished = self._fresh()
        self._timers_from = 0
        self._publish_from = b"u"
        self._failed = None

    def size_bytes(self) -> int:
        """Return the size of the store: its files and what is yet to be flushed."""
        try:
            names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
            return sum(self._db.property_int_value(name) or 0 for name in names)
        except Exception as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception, writing: bool = False) -> StateError:
        """Return the error to be raised; see to it that a damaged store is not used again."""
        text = str(error)
        if isinstance(error, DbClosedError):
            return StateError(f"the store {self.path} is closed")
        if "Corruption" in text:
            try:
                (self.path / _BROKEN).touch()
            except OSError as cause:
                text += f"; {cause}"
        advice = _advice(self.path, text)
        if writing:
            self._failed = advice
        return StateError(advice)


def _inner(key: bytes) -> bytes:
    return b"m" + key[1:] if key[:1] == META else b"p" + key


def _advice(path: Path, text: str) -> str:
    """Say what went wrong with the store, and what to do."""
    low = text.lower()
    if "no space" in low or "file too large" in low or "quota" in low:
        return f"the disk of the store {path} is full ({text}): make room and start again, nothing is lost"
    if "corruption" in low:
        return f"the store {path} is damaged ({text}): start again, it is then restored from the changelog"
    if "/LOCK" in text:
        return f"the store {path} is in use: stop the other worker, or give each worker its own folder ({text})"
    return f"the store {path} cannot be used ({text}): see to the disk and its rights, then start again"
