"""A copy of the identity graph that follows its log: where to send an event in which nothing is new.

The copy may be old, and older in some places than in others: what it says was true once. An old row costs a request
to the resolver or an event that bounces, nothing else (see `stream.profile`). The rows lie on disk with the offsets up
to which the log was read; those in use are held decoded.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from schemas.errors import StateError
from schemas.event import Event
from stream.graph_log import EdgeRow, NodeRow, alias_key, edge_key, node_key, read_alias, read_edge, read_node

log = logging.getLogger(__name__)

MAX_ROWS = 400_000
"""Rows held decoded: about 300 bytes each."""

_K = TypeVar("_K")
_V = TypeVar("_V")

_NOT_DAMAGE = ("No space", "Permission denied", "Read-only", "Not a directory")

_META = b"\0\0view"
_FORMAT = 1


class _Meta(msgspec.Struct):
    """What the store says of itself: the offset of the next record of each partition of the log."""

    format: int
    offsets: dict[int, int]


class _Rows(Protocol):
    def get(self, key: bytes) -> bytes | None: ...
    def write(self, changes: dict[bytes, bytes | None], meta: bytes) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class GraphView:
    """A followed copy of the graph, on disk at `path`, in memory without one.

    One thread may `apply`, others look up meanwhile. `offsets` has the offset of the next record wanted of each
    partition of the log (none: from the start). A store that cannot be read is made anew, to be filled from the start.
    """

    def __init__(self, path: Path | None = None, max_rows: int = MAX_ROWS) -> None:
        self._rows: _Rows = _InMemory() if path is None else _OnDisk(path)
        self._max = max(16, max_rows)
        self._nodes: dict[str, NodeRow] = {}
        self._edges: dict[tuple[str, str], EdgeRow] = {}
        self._version = 0
        stored = self._rows.get(_META)
        self.offsets: dict[int, int] = {} if stored is None else msgspec.msgpack.decode(stored, type=_Meta).offsets

    def lookup(self, event: Event) -> str | None:
        """Return the OneID of i1 if nothing in the event is news, as `Graph.lookup` would of the graph as it was."""
        idents = event.idents
        if not idents:
            return None
        first = idents[0]
        node = self._nodes.get(first) or self._node(first)
        if node is None or not node.has_part:
            return None
        ms = event.time_ms
        if len(idents) == 1:
            seen = node.first_ms
            return None if ms < seen or (ms == seen and event.id < node.first_id) else node.one_id
        edges = self._edges
        for other in idents[1:]:
            edge = edges.get((first, other)) or self._edge(first, other)
            if edge is None or ms < edge.ms or (ms == edge.ms and event.id < edge.id):
                return None
        return node.one_id

    def one_id(self, ident: str) -> str | None:
        """Return the OneID of an identifier's person, None if no event has shown it."""
        node = self._nodes.get(ident)
        if node is None:
            value = self._rows.get(node_key(ident))
            node = None if value is None else read_node(value)
        return None if node is None else node.one_id

    def follow(self, one_id: str) -> str | None:
        """Return the OneID of the person a former OneID means now; one that is no former OneID as it is."""
        value = self._rows.get(alias_key(one_id))
        return one_id if value is None else self.one_id(read_alias(value).ident)

    def apply(self, partition: int, records: Sequence[tuple[bytes, bytes | None]], end: int) -> None:
        """Take in records of a partition of the log, in order; `end` is the offset after them."""
        self.offsets = {**self.offsets, partition: end}
        changes = dict(records)
        self._rows.write(changes, msgspec.msgpack.encode(_Meta(_FORMAT, self.offsets)))
        # Who reads a row while it changes here sees the version change too, and keeps nothing.
        self._version += 1
        nodes, edges = self._nodes, self._edges
        for key, value in changes.items():
            if key.startswith(b"\0"):
                continue
            lo, _, hi = key.decode().partition("\0")
            if not hi:
                if lo in nodes:
                    _refresh(nodes, lo, None if value is None else read_node(value))
            elif "\0" not in hi:
                for pair in ((lo, hi), (hi, lo)):
                    if pair in edges:
                        _refresh(edges, pair, None if value is None else read_edge(value))

    def flush(self) -> None:
        """Put what was applied on disk."""
        self._rows.flush()

    def close(self) -> None:
        """Put everything on disk and let it go."""
        self._rows.close()

    def _node(self, ident: str) -> NodeRow | None:
        version = self._version
        value = self._rows.get(node_key(ident))
        if value is None:
            return None
        row = read_node(value)
        _keep(self._nodes, ident, row, self._max // 2)
        if version != self._version:
            self._nodes.pop(ident, None)
        return row

    def _edge(self, first: str, other: str) -> EdgeRow | None:
        version = self._version
        value = self._rows.get(edge_key(first, other))
        if value is None:  # of one kind the first of an event may be the higher one
            value = self._rows.get(edge_key(other, first))
            if value is None:
                return None
        row = read_edge(value)
        _keep(self._edges, (first, other), row, self._max // 2)
        if version != self._version:
            self._edges.pop((first, other), None)
        return row


class _InMemory:
    """Rows in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self.get = self._rows.get

    def write(self, changes: dict[bytes, bytes | None], meta: bytes) -> None:
        """Take the changes over."""
        for key, value in changes.items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        self._rows[_META] = meta

    def flush(self) -> None:
        """Nothing is on disk."""

    def close(self) -> None:
        """Nothing is open."""


class _OnDisk:
    """Rows in a store that writes no log of its own: after a crash it is as it was a while ago, offsets included."""

    def __init__(self, path: Path) -> None:
        self._store = _open(path)
        self._writing = WriteOptions()
        self._writing.disable_wal = True  # type: ignore[method-assign, assignment]  # the stub is wrong
        self.get = self._store.get

    def write(self, changes: dict[bytes, bytes | None], meta: bytes) -> None:
        """Write the changes and the offsets as one."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_META, meta)
        try:
            self._store.write(batch, self._writing)
        except Exception as error:
            raise StateError(f"the copy of the identity graph cannot be written: {error}") from error

    def flush(self) -> None:
        """Put everything on disk."""
        self._store.flush()

    def close(self) -> None:
        """Put everything on disk and close."""
        self._store.flush()
        self._store.close()


def _open(path: Path) -> Rdict:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _sound(path)
    except Exception as error:
        if "lock" in str(error).lower():
            raise StateError(f"{path} is in use: stop the other worker, or set another worker.data") from error
        if isinstance(error, OSError) or any(words in str(error) for words in _NOT_DAMAGE):
            raise StateError(f"{path} cannot be opened: {error}") from error
        log.warning("%s cannot be read and is made anew: %s", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return _sound(path)


def _sound(path: Path) -> Rdict:
    """Open a store and see that what it says of itself can be read."""
    tables = BlockBasedOptions()
    tables.set_bloom_filter(10, False)
    tables.set_block_cache(Cache(32 << 20))
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(tables)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(32 << 20)
    options.set_keep_log_file_num(2)
    store = Rdict(str(path), options)
    stored = store.get(_META)
    if stored is not None and msgspec.msgpack.decode(stored, type=_Meta).format != _FORMAT:
        store.close()
        raise ValueError("it is of another release")
    return store


def _keep(rows: dict[_K, _V], key: _K, row: _V, most: int) -> None:
    """Hold a row decoded; of too many the oldest quarter goes, as the next look-up brings back what is in use."""
    if len(rows) >= most:
        for old in list(rows)[: most // 4 + 1]:
            rows.pop(old, None)
    rows[key] = row


def _refresh(rows: dict[_K, _V], key: _K, row: _V | None) -> None:
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row
