"""The local store of one partition: the records of its changelog, as of a known offset, in RocksDB.

It is a copy that can be thrown away: what counts is the changelog. So there is no write-ahead log. After a crash the
store is as it was some batches ago, whole, and knows the offset from which to read on.

Records are kept under the first byte of their key here: `p` a person, `m` a meta record. Beside them stand two indexes,
written in the same batch: `t` + time + OneID for people with something due, `u` + OneID for people to be published; and
`s`, the offset and the counts.
"""

import logging
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rocksdict import WriteBatch

from stream.database import Database
from stream.person import ABSENT, Entry, entry_of
from triggers.instances import NEVER

log = logging.getLogger(__name__)

META = b"\0"
"""The first byte of the key of a meta record; no OneID begins with it."""

MAX_AGE_S = 12 * 3600
"""A store not written for longer is read anew: Kafka keeps the mark of a deletion for a day, then compaction drops it,
and the store would never learn of the deletion."""

CHUNK = 5_000
"""Records restored in one batch."""

_STATE_KEY = b"s"
_STATE = struct.Struct(">qqqqq")
"""Version, offset, when last written live (epoch s), people, people to be published."""

_VERSION = 1
_TIME = struct.Struct(">q")


class Store:
    """The store in folder `path`, made if there is none; `memory_mb` is about what its cache and write buffers take.

    One thread writes; any may read. Every method raises StateError when the store cannot be read or written (disk
    full, damaged, closed) and the message says what to do; after a failed write the store refuses to go on, since what
    it holds is no longer what was asked for. A damaged store is wiped when it is opened, one that another process
    has open is not touched.
    """

    def __init__(self, path: Path, memory_mb: int = 64, max_age_s: float = MAX_AGE_S) -> None:
        self.path = path
        self._db = Database(path, memory_mb)
        state = self._state()
        if state is None or state[0] != _VERSION:
            state = self._fresh()
        elif (state[1] or state[3]) and time.time() - state[2] > max_age_s:
            log.warning("the store %s was last written long ago and is restored anew", path)
            state = self._fresh()
        _, self.offset, self._written_s, self._people, self._unpublished = state
        self._timers_from = 0
        self._publish_from = b"u"

    def _state(self) -> tuple[int, ...] | None:
        stored = self._db.first(_STATE_KEY)
        return _STATE.unpack(stored) if stored is not None and len(stored) == _STATE.size else None

    def _fresh(self) -> tuple[int, ...]:
        """Empty the store and give it a beginning."""
        self._db.empty()
        return _VERSION, 0, int(time.time()), 0, 0

    # Reading

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a changelog key: the OneID's bytes, or META + name."""
        return self._db.get(_inner(key))

    def person(self, one_id: str) -> bytes | None:
        """Return the stored form of a person."""
        return self.get(one_id.encode())

    def people(self) -> Iterator[tuple[str, bytes]]:
        """Yield OneID and stored form of every person, by OneID."""
        for key, value in self._db.range(b"p", b"q"):
            yield key[1:].decode(), value

    def one_ids(self) -> Iterator[str]:
        """Yield every OneID, sorted."""
        for key, _ in self._db.range(b"p", b"q", keys=True):
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
        for key, _ in self._db.range(begin, b"u", keys=True):
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
            for key, _ in self._db.range(begin, end, keys=True):
                if len(found) >= limit:
                    self._publish_from = key
                    return found
                found.append(key[1:].decode())
        self._publish_from = b"u"
        return found

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
        entries = self._entries(records, before)
        after = self.offset if offset is None else offset
        counts = (self._people, self._unpublished, self._timers_from)

        def fill(batch: WriteBatch) -> None:
            nonlocal counts
            counts = people, unpublished, _ = self._fill(batch, records, entries)
            batch.put(_STATE_KEY, _STATE.pack(_VERSION, after, written_s, people, unpublished))

        self._db.write(fill)
        self.offset, self._written_s = after, written_s
        self._people, self._unpublished, self._timers_from = counts

    def _fill(
        self, batch: WriteBatch, records: Mapping[bytes, bytes | None], entries: Mapping[bytes, Entry]
    ) -> tuple[int, int, int]:
        """Put records and their index entries into a batch; return people, people to be published, first time."""
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
        return people, unpublished, timers_from

    def _entries(self, records: Mapping[bytes, bytes | None], before: Mapping[bytes, Entry]) -> Mapping[bytes, Entry]:
        """Return what the store has of the people of these records; nobody is left out, or ABSENT."""
        unknown = [key for key in records if key not in before and key[:1] != META]
        if not unknown:
            return before
        stored = self._db.get_many([b"p" + key for key in unknown])
        entries = dict(before)
        for key, value in zip(unknown, stored, strict=True):
            if value is not None:
                entries[key] = entry_of(value)
        return entries

    # The files

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        self._db.flush()

    def close(self) -> None:
        """Flush and close; what cannot be flushed is restored from the changelog next time."""
        self._db.close()

    def wipe(self) -> None:
        """Empty the store; it is then as a new one."""
        _, self.offset, self._written_s, self._people, self._unpublished = self._fresh()
        self._timers_from = 0
        self._publish_from = b"u"

    def size_bytes(self) -> int:
        """Return the size of the store: its files and what is yet to be flushed."""
        return self._db.size_bytes()


def _inner(key: bytes) -> bytes:
    return b"m" + key[1:] if key[:1] == META else b"p" + key
