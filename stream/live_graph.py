"""The resolver's graph: what changed goes to `identity.graph`, and from there it is built again.

A batch of requests is one transaction. `mark` says that one begins; `changed` gives its records; then it is either
`committed`, or `rollback` takes the graph back to the mark, as the requests come again and would be no news otherwise.
"""

import gc
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from identity.changes import Resolution
from identity.evidence import Command
from identity.graph import Graph
from identity.journal import Journal
from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from stream import graph_log

log = logging.getLogger(__name__)

_FRAME: Final = struct.Struct("<II")
_END: Final = b"end"


class _Head(msgspec.Struct):
    """What a snapshot begins with."""

    fingerprint: bytes
    offsets: dict[int, int]
    step: int


_encode = msgspec.msgpack.Encoder().encode
_read_head = msgspec.msgpack.Decoder(_Head).decode


class LiveGraph:
    """A graph with its log. `graph` is to be read only; `step` is the number of the last decision."""

    def __init__(self, policy: Policy, space: str = "default") -> None:
        self.graph = Graph(policy, space)
        self._space = space
        self.step = 0
        self._rows: dict[bytes, bytes] = {}
        self._journal = Journal()
        self._marked_step = 0
        self.committed()

    def observe(self, event: Event) -> Resolution:
        """Add the evidence of an event, or a steward's command; see `Graph.observe`."""
        return self.graph.observe(event)

    def next_step(self) -> int:
        """Count a decision and return its number; the first is 1."""
        self.step += 1
        return self.step

    def mark(self) -> None:
        """Let a batch begin. Raises StateError if the one before was neither committed nor taken back."""
        if self._journal or self.step != self._marked_step:
            raise StateError("a batch of evidence was neither committed nor taken back: start the worker again")
        self.committed()

    def committed(self) -> None:
        """Say that all so far is committed: `rollback` goes back to here."""
        self._journal = Journal()
        self._marked_step = self.step
        self.graph.keep(self._journal)

    def changed(self) -> list[graph_log.Record]:
        """Return the records (key, value) that differ from when the batch began, each key once."""
        found = list(graph_log.records(self.graph.news(self._journal)))
        if self.step != self._marked_step:
            found.append(graph_log.step_record(self.step))
        return found

    def rollback(self) -> None:
        """Go back to where the batch began: it was aborted."""
        self.graph.undo(self._journal)
        self.step = self._marked_step
        self.committed()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in a record of the log. Records of one key come in their order, others in any; `verify` ends it."""
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = value

    def verify(self) -> None:
        """Build the graph from the records applied since the last time, on top of what it holds.

        Raises StateError if it gives other people than the records say, or cannot be built.
        """
        rows, self._rows = self._rows, {}
        with _no_collection():
            found = graph_log.sort(rows.items())
            rows.clear()
            self.graph.restore(
                ((ident, row.first_ms, row.first_id, row.has_part) for ident, row in found.nodes.items()),
                ((lo, hi, row.ms, row.id) for lo, hi, row in found.edges),
                ((lo, hi, Command(row.ms, row.id, row.kind)) for lo, hi, row in found.commands),
                found.aliases,
            )
            self.step = max(self.step, found.step)
            for ident, row in found.nodes.items():
                one_id = self.graph.one_id(ident)
                if one_id != row.one_id:
                    raise StateError(
                        f"the graph that was stored has {ident} as person {row.one_id}, the evidence gives {one_id}: "
                        "set identity and space as they were when it was built, or start anew with another kafka.prefix"
                    )
        self.committed()

    def save(self, path: Path, offsets: Mapping[int, int]) -> None:
        """Write a snapshot that has every record before these offsets, by partition of `identity.graph`.

        It may have later ones too. Call it between batches: what is not committed must not be in it.
        """
        if self._journal:
            raise StateError("a snapshot of the graph was asked for in the middle of a batch")
        path.parent.mkdir(parents=True, exist_ok=True)
        head = _encode(_Head(self.graph.fingerprint(), dict(offsets), self.step))
        draft = path.with_name(path.name + ".new")
        with draft.open("wb") as file:
            for piece in chain([head], self.graph.snapshot(), [_END]):
                file.write(_FRAME.pack(len(piece), zlib.crc32(piece)))
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def load(self, path: Path) -> dict[int, int] | None:
        """Read a snapshot into an empty graph; return its offsets, by partition.

        None if there is none, or if it is damaged or of another policy or space; the graph is empty then.
        """
        try:
            with path.open("rb") as file, _no_collection():
                frames = _frames(file)
                head = _read_head(next(frames, b""))
                if head.fingerprint != self.graph.fingerprint():
                    log.warning("%s is of other identity settings and is not used", path)
                    return None
                self.graph.load(frames)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, msgspec.MsgspecError) as error:
            log.warning("%s cannot be read and is not used: %s", path, error)
            self.graph = Graph(self.graph.policy, self._space)
            self.committed()
            return None
        self.step = head.step
        self.committed()
        return head.offsets


def _frames(file: BinaryIO) -> Iterator[bytes]:
    """Yield the pieces of a snapshot. Raises ValueError if any is damaged or the end is missing."""
    while True:
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise ValueError("it is cut short")
        length, checksum = _FRAME.unpack(head)
        piece = file.read(length)
        if len(piece) < length or zlib.crc32(piece) != checksum:
            raise ValueError("it is damaged")
        if piece == _END:
            return
        yield piece


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector from looking through millions of new objects, none of which is garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
