"""Where to cut the lake, so that all tables show one moment.

The moment is a little before the instant up to which the lake has everything. The state of people is cut, partition by
partition, behind the last record before it that says how far the events were read: it reflects exactly the events
before that offset. The graph is cut between two batches of the resolver: behind the last batch whose records all lie
before the moment. What the stages had under way then (a part that travels, an event sent back) shows in the commands.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.catalogue import SETTLED_MS, DataFile, Listing
from lake.rows import TRIGGERS
from lake.store import LakeStore
from schemas.errors import TransientError
from stream.exported_people import CLOCK
from stream.graph_log import INPUT_KEY, read_input
from stream.store import META

STATE, GRAPH, EVENTS, REQUESTS = "profiles.state", "identity.graph", "events.identified", "identity.requests"
INPUT = META + b"input"
"""The record that ends each batch of the profile stage; see `stream.stage_profile`."""

NEEDED = (STATE, GRAPH, EVENTS, REQUESTS, "events.deadletter", "identity.changes", "segments.changes")
"""Topics that must be in the lake up to the moment, beside those of firings."""

_unpack_int = msgspec.msgpack.Decoder(int).decode


class Mark(msgspec.Struct, frozen=True):
    """A record that says how far the input was read: its offset, when it was written, and the input's offset."""

    offset: int
    written_ms: int
    input: int


class Cut(msgspec.Struct, frozen=True):
    """Up to where each table counts; offsets are by partition and exclusive.

    `state` and `events` belong together, `graph` and `requests` too. `through_ms` is the moment, `written_ms` when the
    state of each partition was written, `graph_ms` when the last batch of the resolver was. `clock_ms` is where the
    clock of a backfill stands, None where the time of day counts.
    """

    through_ms: int
    state: dict[int, int]
    events: dict[int, int]
    written_ms: dict[int, int]
    graph: dict[int, int]
    graph_ms: int
    requests: int
    clock_ms: int | None

    def offsets(self) -> dict[str, dict[int, int]]:
        """Return the offsets by topic."""
        return {EVENTS: self.events, STATE: self.state, GRAPH: self.graph, REQUESTS: {0: self.requests}}


def complete_ms(listings: Sequence[Listing]) -> int:
    """Return the latest moment at which the lake can be cut. Raises TransientError if there is none yet."""
    there = {listing.topic for listing in listings if listing.end}
    missing = [topic for topic in (STATE, GRAPH, EVENTS) if topic not in there]
    if missing:
        raise TransientError(f"the lake has nothing of {', '.join(missing)} yet; is a worker running with the lake on?")
    needed = [each for each in listings if each.topic in NEEDED or each.topic.startswith(TRIGGERS)]
    return min(listing.complete_ms for listing in needed) - SETTLED_MS


def choose(store: LakeStore, listings: Sequence[Listing], through_ms: int) -> Cut:
    """Return the cut at a moment."""
    state: dict[int, int] = {}
    events: dict[int, int] = {}
    written: dict[int, int] = {}
    clocks: list[int] = []
    for listing in _of(listings, STATE):
        mark = _last(_marks(store, listing, INPUT, _unpack_int), through_ms)
        state[listing.partition] = 0 if mark is None else mark.offset + 1
        events[listing.partition] = 0 if mark is None else mark.input
        written[listing.partition] = 0 if mark is None else mark.written_ms
        clock = _last(_marks(store, listing, CLOCK, _unpack_int), through_ms)
        if mark is not None and clock is not None:
            clocks.append(clock.input)
    # The graph may know more than the state, never less: see `complete_ms` for the time between.
    graph, graph_ms, torn = _cut_graph(store, _of(listings, GRAPH), through_ms + SETTLED_MS)
    ends = [listing.end for listing in _of(listings, REQUESTS)]
    requests = max(ends, default=0) if torn is None else torn - 1
    return Cut(through_ms, state, events, written, graph, graph_ms, requests, max(clocks, default=None))


def _cut_graph(
    store: LakeStore, listings: Sequence[Listing], through_ms: int
) -> tuple[dict[int, int], int, int | None]:
    """Return the offsets of the graph, when its last batch was written, and the first batch that is left out."""

    def marks(listing: Listing) -> Iterator[Mark]:
        return _marks(store, listing, INPUT_KEY, lambda value: read_input(value).input)

    torn = []  # of each partition the first batch that was not yet written
    for listing in listings:
        first = None
        for mark in marks(listing):
            if mark.written_ms <= through_ms:
                break
            first = mark.input
        if first is not None:
            torn.append(first)
    limit = min(torn, default=None)
    graph, graph_ms = {}, 0
    for listing in listings:
        graph[listing.partition] = 0
        for mark in marks(listing):
            if mark.written_ms <= through_ms and (limit is None or mark.input < limit):
                graph[listing.partition] = mark.offset + 1
                graph_ms = max(graph_ms, mark.written_ms)
                break
    return graph, graph_ms, limit


def _of(listings: Sequence[Listing], topic: str) -> list[Listing]:
    return [listing for listing in listings if listing.topic == topic]


def _last(marks: Iterator[Mark], through_ms: int) -> Mark | None:
    return next((mark for mark in marks if mark.written_ms <= through_ms), None)


def _marks(store: LakeStore, listing: Listing, key: bytes, read: Callable[[bytes], int]) -> Iterator[Mark]:
    """Yield the records of a key in a partition, the newest first; usually the first file read has it.

    Files of one chunk of messages, one for each date, are read together.
    """
    by_chunk: dict[tuple[int, int], list[DataFile]] = {}
    for file in listing.files:
        if file.table in ("state", "graph"):
            by_chunk.setdefault((file.first, file.last), []).append(file)
    waiting: list[Mark] = []
    chunks = sorted(by_chunk, key=lambda chunk: chunk[1], reverse=True)
    for number, chunk in enumerate(chunks):
        for file in by_chunk[chunk]:
            found = pq.read_table(
                store.full(file.path),
                filesystem=store.filesystem,
                columns=["offset", "written_at", "value"],
                filters=pc.field("key") == key,
            )
            for row in zip(
                found.column("offset").to_pylist(),
                found.column("written_at").cast("int64").to_pylist(),
                found.column("value").to_pylist(),
                strict=True,
            ):
                if row[2] is not None:
                    waiting.append(Mark(row[0], row[1], read(row[2])))  # noqa: PERF401  of several files
        below = chunks[number + 1][1] if number + 1 < len(chunks) else -1
        waiting.sort(key=lambda mark: mark.offset)
        while waiting and waiting[-1].offset > below:
            yield waiting.pop()
