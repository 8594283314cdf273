"""A copy of the identity graph that follows its log: where to send an event in which nothing is new.

The copy may be old, and older in some places than in others: what it says was true once. An old row costs a request
to the resolver or an event that bounces, nothing else (see `stream.profile`). The rows lie on disk with the offsets up
to which the log was read; those in use are held decoded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from schemas.event import Event
from stream.graph_log import (
    INPUT_KEY,
    EdgeRow,
    NodeRow,
    alias_key,
    edge_key,
    node_key,
    read_alias,
    read_edge,
    read_input,
    read_node,
)
from stream.graph_rows import DiskRows, MemoryRows, Rows

MAX_ROWS = 400_000
"""Rows held decoded: about 300 bytes each."""

MEMORY_MB = 96
"""What the database on disk takes of memory for its cache and what is yet to be written."""

_K = TypeVar("_K")
_V = TypeVar("_V")

_FORMAT = 2


class _Note(msgspec.Struct):
    """What the rows say of themselves: the offset of the next record of each partition of the log."""

    format: int
    offsets: dict[int, int]


class GraphView:
    """A followed copy of the graph, on disk at `path`, in memory without one.

    One thread may `apply`, others look up meanwhile. `offsets` has the offset of the next record wanted of each
    partition of the log (none: from the start). A store that cannot be read is made anew, to be filled from the start.
    """

    def __init__(self, path: Path | None = None, max_rows: int = MAX_ROWS) -> None:
        self._rows: Rows = MemoryRows()
        if path is not None:
            self._rows = DiskRows(path, MEMORY_MB, logged=False, purpose="copy of the identity graph")
        self._max = max(16, max_rows)
        self._nodes: dict[str, NodeRow] = {}
        self._edges: dict[tuple[str, str], EdgeRow] = {}
        self._version = 0
        self.requests_read = 0
        """Before this offset of `identity.requests` the resolver has worked off everything, or more than that."""
        self.offsets: dict[int, int] = {}
        note = self._rows.note
        if note is not None:
            told = msgspec.msgpack.decode(note, type=_Note)
            if told.format == _FORMAT:
                self.offsets = told.offsets
            else:
                self._rows.clear()

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
        self._rows.write(changes, msgspec.msgpack.encode(_Note(_FORMAT, self.offsets)))
        # Who reads a row while it changes here sees the version change too, and keeps nothing.
        self._version += 1
        nodes, edges = self._nodes, self._edges
        for key, value in changes.items():
            if key.startswith(b"\0"):
                if key == INPUT_KEY and value is not None:
                    self.requests_read = max(self.requests_read, read_input(value).input)
                continue
            lo, _, hi = key.decode().partition("\0")
            if not hi:
                if lo in nodes:
                    _refresh(nodes, lo, None if value is None else read_node(value))
            elif "\0" not in hi:
                for pair in ((lo, hi), (hi, lo)):
                    if pair in edges:
                        _refresh(edges, pair, None if value is None else read_edge(value))

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
