"""Which files count: for each partition of a topic one small file, `catalogue/TOPIC-PARTITION.json`.

It lists the Parquet files that together hold the partition's messages from its beginning up to `end`, each exactly
once. It is replaced as a whole, so whoever reads it sees a chunk of messages with all its files or without any, and a
compaction before or after. A file that is in no list does not count: it is left from a write that a crash interrupted
(the same offsets give the same name, so it is written over), or was replaced and is kept for readers of the old list.

How far a partition is complete moves on also while nothing comes, and there are many idle ones. So workers tell it of
all their partitions in one file each, `catalogue/told/WORKER.json`; what is told stays true for ever. A worker that
stops says that there as well, so that nobody waits for it.

In a folder the change of a list is done under a lock. On object stores there is none: there only the worker that owns
a partition changes its list, and a list that a forgotten worker puts back is an earlier one, true but shorter, which
the next chunk replaces.
"""

import fcntl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from lake.store import LakeStore
from schemas.errors import StateError

FOLDER = "catalogue"
TOLD = f"{FOLDER}/told"
SETTLED_MS = 2_000
"""What was written in one go may carry times this far apart, and the clocks of workers differ."""

Place = tuple[str, int]
"""Topic (its name in the table, without prefix) and partition."""


class DataFile(msgspec.Struct, frozen=True):
    """A Parquet file: which table's rows it holds, of the messages from offset `first` to `last`, both inclusive."""

    table: str
    path: str
    first: int
    last: int
    rows: int
    bytes: int


class Replaced(msgspec.Struct, frozen=True):
    """A file whose rows are in another one since `at_ms` (epoch ms); it stays a while for readers of an old list."""

    path: str
    at_ms: int


class Listing(msgspec.Struct, frozen=True):
    """What the lake has of a partition: all messages before offset `end`.

    `complete_ms`: everything that was written to the partition up to this instant (epoch ms) is among them.
    """

    topic: str
    partition: int
    end: int
    complete_ms: int
    files: tuple[DataFile, ...] = ()
    replaced: tuple[Replaced, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """A partition whose listing reached `end` had, with that, all that was written up to `complete_ms` (epoch ms)."""

    topic: str
    partition: int
    end: int
    complete_ms: int


class Word(msgspec.Struct, frozen=True):
    """What a worker said last, when (epoch ms), and whether it stopped after that."""

    at_ms: int
    stopped: bool
    told: tuple[Told, ...]


_read = msgspec.json.Decoder(Listing).decode
_read_word = msgspec.json.Decoder(Word).decode
_locks_guard = threading.Lock()
_locks: dict[str, threading.Lock] = {}


def file_name(topic: str, partition: int, first: int, last: int) -> str:
    """Return the name of a Parquet file with rows of these offsets, both inclusive."""
    return f"{topic}-{partition}-{first:012d}-{last:012d}.parquet"


def data_path(table: str, date: str, topic: str, partition: int, first: int, last: int) -> str:
    """Return the path of a Parquet file with a table's rows of one date (YYYY-MM-DD, UTC)."""
    return f"{table}/date={date}/{file_name(topic, partition, first, last)}"


def read(store: LakeStore, topic: str, partition: int) -> Listing:
    """Return the listing of a partition, an empty one if there is none yet."""
    return _parsed(store, _path(topic, partition)) or Listing(topic, partition, 0, 0)


def read_all(store: LakeStore) -> list[Listing]:
    """Return the listings of all partitions, by topic and partition, with what was told of them."""
    paths = [info.path for info in store.each(FOLDER) if info.path.endswith(".json")]
    told = [each for word in _words(store, paths) for each in word.told]  # before the listings
    listings = [_parsed(store, path) for path in paths if not path.startswith(f"{TOLD}/")]
    found = {(each.topic, each.partition): each for each in listings if each is not None}
    for each in told:
        place = each.topic, each.partition
        listing = found.get(place) or Listing(*place, 0, 0)
        if listing.end >= each.end:
            found[place] = replace(listing, complete_ms=max(listing.complete_ms, each.complete_ms))
    return [found[place] for place in sorted(found)]


def tell(store: LakeStore, worker: str, word: Word) -> None:
    """Say how far partitions are complete, in the place of what this worker said before."""
    store.write_bytes(f"{TOLD}/{worker}.json", msgspec.json.format(msgspec.json.encode(word), indent=1) + b"\n")


def at_work(store: LakeStore, since_ms: int) -> bool:
    """Return whether a worker said something since then and has not stopped."""
    words = _words(store, [info.path for info in store.each(TOLD)])
    return any(word.at_ms >= since_ms and not word.stopped for word in words)


def _words(store: LakeStore, paths: Iterable[str]) -> Iterator[Word]:
    for path in paths:
        if path.startswith(f"{TOLD}/") and path.endswith(".json"):
            content = store.read_bytes(path)
            try:
                if content is not None:
                    yield _read_word(content)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise StateError(f"{store.url}: {path} does not say how far partitions are: {error}") from error


def update(store: LakeStore, topic: str, partition: int, change: Callable[[Listing], Listing]) -> Listing:
    """Replace a partition's listing by what `change` makes of it, and return that.

    `change` may be called with a listing that another process has changed since it was last read.
    """
    path = _path(topic, partition)
    with _locked(store, path):
        before = _parsed(store, path) or Listing(topic, partition, 0, 0)
        after = change(before)
        if after != before:
            store.write_bytes(path, msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")
        return after


def files(
    listings: Iterable[Listing], table: str, below: Mapping[Place, int] | None = None
) -> Iterator[tuple[Listing, DataFile]]:
    """Yield the files of a table. With `below`, only those with messages before these offsets.

    Such a file may hold later ones as well: filter its column `offset`.
    """
    for listing in listings:
        limit = None if below is None else below.get((listing.topic, listing.partition), 0)
        for file in listing.files:
            if file.table == table and (limit is None or file.first < limit):
                yield listing, file


def _path(topic: str, partition: int) -> str:
    return f"{FOLDER}/{topic}-{partition}.json"


def _parsed(store: LakeStore, path: str) -> Listing | None:
    content = store.read_bytes(path)
    if content is None:
        return None
    try:
        return _read(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"{store.url}: {path} is not a listing of files: {error}") from error


@contextmanager
def _locked(store: LakeStore, path: str) -> Iterator[None]:
    """Hold the right to change a listing: against threads everywhere, against processes in a folder."""
    with _locks_guard:
        lock = _locks.setdefault(f"{store.url}/{path}", threading.Lock())
    with lock:
        if store.local is None:
            yield
            return
        folder = store.local / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{path.rpartition('/')[2]}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go by the system, however the process ends
            yield
