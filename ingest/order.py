"""Events in the order of (time, id) whatever the order of the input, each id once."""

import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from identity.normalise import Why
from ingest.admit import Admission
from ingest.spill import BUFFER_BYTES, Spill
from schemas.content import content_key
from schemas.errors import InvalidEvent
from schemas.event import Event, Rejected
from schemas.settings import Settings

Stored = tuple[int, str, bytes, int, int, bytes]  # time_ms, id, event, source, number, the line's own bytes or none

PAIRS = 1 << 18  # of (hash, time) that are kept in memory before DuckDB gets them


class Refused(NamedTuple):
    """A line that is no event, or lost its id to one: which input, which line, its bytes and why."""

    source: int
    number: int
    raw: bytes
    why: Rejected


class EventSorter:
    """Sorts lines by the (time, id) of their events, admits them, and settles what carries the same id.

    Memory is bounded. Of the valid lines of one id the earliest by (time, bytes) counts. Another with the same content
    is a duplicate; every other content is one conflict, told for its earliest line, and its repetitions are
    duplicates. The result is a function of the set of lines. After `sorted` has run to its end, `duplicates`,
    `conflicts` and `later` hold the counts, and `ignored` the identifiers that accepted events were left without.
    What is remembered beyond the buffer are the ids that occur with several times.
    """

    def __init__(self, settings: Settings, buffer_bytes: int = BUFFER_BYTES, folder: Path | None = None) -> None:
        # What is refused, repeated or left out is judged apart, so that `ignored` is of accepted events.
        self._admission = Admission(settings)
        self._judge = Admission(settings).admit
        self._key = self._admission.key
        self._rows: Spill[Stored] = Spill(Stored, buffer_bytes, folder)
        self._seen = _Times(folder)
        self.added = 0
        self.duplicates = 0
        self.conflicts = 0
        self.later = 0

    @property
    def ignored(self) -> Counter[tuple[str, Why]]:
        """How many identifiers of accepted events were left out, by kind and why."""
        return self._admission.normaliser.ignored

    def add(self, event: bytes, source: int, number: int, raw: bytes) -> None:
        """Add an event's JSON, where it stood, and the line's own bytes (the same object if they are that JSON).

        Raises InvalidEvent for a line without a time or an id; everything else is judged in `sorted`.
        """
        time_ms, event_id = self._key(event)
        self.added += 1
        self._seen.add(hash(event_id), time_ms)
        own = b"" if raw is event else raw
        self._rows.add((time_ms, event_id, event, source, number, own), len(event) + len(event_id) + len(own))

    def sorted(self, until_ms: int | None, refuse: Callable[[Refused], None]) -> Iterator[Event]:
        """Yield the events up to and including `until_ms` by (time, id); `refuse` is told of every other line.

        Must be run to its end for the refused lines and counts to be complete; may be run once.
        """
        several = self._seen.several()
        known: dict[str, _Content] = {}
        admit = self._admission.admit
        last_id: str | None = None
        last_time = -1
        first = b""
        content: _Content | None = None
        for row in self._rows.rows():
            time_ms, event_id, text = row[0], row[1], row[2]
            taken = event_id == last_id and time_ms == last_time
            if taken and text == first:
                self.duplicates += 1
                continue
            if not taken and several and hash(event_id) in several and event_id in known:
                taken, last_id, last_time, first, content = True, event_id, time_ms, b"", known[event_id]
            late = until_ms is not None and time_ms > until_ms
            try:
                event = self._judge(text) if taken or late else admit(text)
            except InvalidEvent as error:
                why = Rejected(error.reason, error.detail)
                refuse(Refused(row[3], row[4], row[5] or text, why))
                continue
            if taken:
                if content is None:
                    content = _Content(first)
                self._settle(content, row, refuse)
                continue
            last_id, last_time, first, content = event_id, time_ms, text, None
            if several and hash(event_id) in several:
                content = known[event_id] = _Content(text)
            if late:
                self.later += 1
                continue
            yield event

    def close(self) -> None:
        """Remove the files."""
        self._rows.close()
        self._seen.close()

    def __enter__(self) -> "EventSorter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, content: "_Content", row: Stored, refuse: Callable[[Refused], None]) -> None:
        if not content.is_new(row[2]):
            self.duplicates += 1
            return
        self.conflicts += 1
        why = Rejected("id_conflict", f"id: {row[1]!r} belongs to an earlier event with other content")
        refuse(Refused(row[3], row[4], row[5] or row[2], why))


class _Content:
    """The contents that one id was seen with, as digests: an id sent a million times must not fill the memory."""

    __slots__ = ("_first", "_seen")

    def __init__(self, first: bytes) -> None:
        self._first: bytes | None = first
        self._seen: set[bytes] = set()

    def is_new(self, event: bytes) -> bool:
        if self._first is not None:
            self._seen.add(_digest(self._first))
            self._first = None
        digest = _digest(event)
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True


def _digest(event: bytes) -> bytes:
    return blake2b(content_key(event), digest_size=16).digest()


class _Times:
    """Finds the ids that occur with more than one time, by their hashes.

    An equal hash of two ids costs a look too many and nothing else, so the seed of the hash does not matter either.
    """

    def __init__(self, folder: Path | None) -> None:
        self._parent = folder
        self._folder: Path | None = None
        self._database: duckdb.DuckDBPyConnection | None = None
        self._hashes = array("q")
        self._times = array("q")

    def add(self, id_hash: int, time_ms: int) -> None:
        self._hashes.append(id_hash)
        self._times.append(time_ms)
        if len(self._hashes) >= PAIRS:
            self._flush()

    def several(self) -> set[int]:
        """Return the hashes that go with several times; most feeds have none."""
        if self._database is None:
            time_of: dict[int, int] = {}
            pairs = zip(self._hashes, self._times, strict=True)
            return {id_hash for id_hash, time_ms in pairs if time_of.setdefault(id_hash, time_ms) != time_ms}
        self._flush()
        found = self._database.execute(
            "SELECT id_hash FROM pairs GROUP BY id_hash HAVING min(time_ms) <> max(time_ms)"
        ).fetchall()
        return {row[0] for row in found}

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _flush(self) -> None:
        if self._database is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kith-ids-", dir=self._parent))
            config: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "256MiB"}
            config["temp_directory"] = str(self._folder)
            self._database = duckdb.connect(str(self._folder / "ids.duckdb"), config=config)
            self._database.execute("CREATE TABLE pairs (id_hash BIGINT, time_ms BIGINT)")
        columns = [
            pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])
            for values in (self._hashes, self._times)
        ]
        self._database.register("batch", pa.table(columns, names=["id_hash", "time_ms"]))
        self._database.execute("INSERT INTO pairs SELECT * FROM batch")
        self._database.unregister("batch")
        self._hashes = array("q")
        self._times = array("q")
