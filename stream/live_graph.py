"""The resolver's graph: what changed goes to `identity.graph`, and from there it is built again.

A batch of requests is one transaction. `mark` says that one begins; `changed` gives its records; then it is either
`committed`, or `rollback` takes the graph back to the mark, as the requests come again and would be no news otherwise.

With rows on disk, people lie there and those lately looked at are in memory. What is committed is filed there now and
then, with the offsets of the log up to which it goes: from there the log is read at the next start.
"""

import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from identity.changes import Resolution
from identity.evidence import Command
from identity.graph import Graph
from identity.journal import Journal
from identity.packing import fingerprint
from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from stream import graph_log
from stream.graph_restore import restore
from stream.graph_rows import DiskRows, Rows
from stream.graph_spool import Spool

log = logging.getLogger(__name__)

MAX_IDENTIFIERS: Final = 500_000
"""Identifiers in memory: about 250 bytes each, and as much again for what they share."""

FILE_AFTER: Final = 2_000
"""Changed identifiers after which they are filed: some ten milliseconds' work."""

AT_ONCE: Final = 200_000
"""Records of the log that are read at a start in memory; more are sorted on disk first."""


MEMORY_MB: Final = 64
"""What the store on disk takes of memory for its cache and what is yet to be written."""


class _Note(msgspec.Struct):
    """What the rows say of themselves. They are not `whole` while they are being restored."""

    fingerprint: bytes
    offsets: dict[int, int]
    step: int
    whole: bool


class LiveGraph:
    """A graph with its log. `graph` is to be read only; `step` is the number of the last decision.

    Without `rows` all people are in memory, otherwise about `most` identifiers; the rows of other settings are removed.
    `scratch` is a folder for what is sorted on disk. `offsets` say up to where the log is in the graph, by partition:
    who reads the log keeps them up while it is restored.
    """

    def __init__(
        self,
        policy: Policy,
        space: str = "default",
        rows: Rows | None = None,
        most: int = MAX_IDENTIFIERS,
        scratch: Path | None = None,
    ) -> None:
        self.graph = Graph(policy, space, rows, most)
        self.step = 0
        self.offsets: dict[int, int] = {}
        self._file_after = min(FILE_AFTER, most)
        self._rows = rows
        self._scratch = scratch
        self._fingerprint = fingerprint(policy, space)
        self._log: dict[bytes, bytes | None] = {}
        self._spool: Spool | None = None
        self._journal = Journal()
        self._marked_step = 0
        if rows is not None and rows.note is not None:
            self._read_note(rows, rows.note)
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

    def committed(self, delivered: Mapping[int, int] | None = None) -> None:
        """Say that all so far is committed: `rollback` goes back to here.

        `delivered` has the offset of the last record of the log by partition, of those it was written to.
        """
        archive = self.graph.archive
        if archive is not None:
            archive.note(self._journal)
        self._journal = Journal()
        self._marked_step = self.step
        self.graph.keep(self._journal)
        for number, offset in (delivered or {}).items():
            self.offsets[number] = offset + 1
        if archive is not None and (archive.changed >= self._file_after or archive.crowded):
            self.file()

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
        self._journal = Journal()
        self.committed()

    def file(self) -> None:
        """Put what is committed on disk, if there is one. Raises StateError in the middle of a batch."""
        archive = self.graph.archive
        if self._rows is None or archive is None:
            return
        if self._journal:
            raise StateError("the graph was to be filed in the middle of a batch: start the worker again")
        self._write(self._rows, archive.pack(), whole=True)
        archive.filed()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in a record of the log. Records of one key come in their order, others in any; `verify` ends it."""
        self._log[key] = value
        if self._rows is not None and len(self._log) >= AT_ONCE:
            self._spool = self._spool or Spool(self._scratch)
            with _no_collection():
                self._spool.add(self._log)
            self._log.clear()

    def verify(self) -> None:
        """Build the graph from the records applied since the last time, on top of what it holds, and file it.

        Raises StateError if it gives other people than the records say, or cannot be built.
        """
        with _no_collection():
            if self._spool is None:
                self._restore_here()
            else:
                self._spool.add(self._log)
                self._log.clear()
                try:
                    self._restore_spooled(self._spool)
                finally:
                    self._spool.close()
                    self._spool = None
        self.committed()
        self.file()

    def _restore_here(self) -> None:
        found = graph_log.sort((key, value) for key, value in self._log.items() if value is not None)
        self._log.clear()
        self.graph.restore(
            ((ident, row.first_ms, row.first_id, row.has_part) for ident, row in found.nodes.items()),
            ((lo, hi, row.ms, row.id) for lo, hi, row in found.edges),
            ((lo, hi, Command(row.ms, row.id, row.kind)) for lo, hi, row in found.commands),
            found.aliases,
        )
        self.step = max(self.step, found.step)
        for ident, row in found.nodes.items():
            self.graph.confirm(ident, row.one_id)

    def _restore_spooled(self, spool: Spool) -> None:
        rows, archive = self._rows, self.graph.archive
        if rows is None or archive is None:
            raise AssertionError("only a graph with rows sorts its log on disk")
        self.step = max(self.step, spool.step)

        def write(records: Mapping[bytes, bytes]) -> None:
            self._write(rows, records, whole=False)

        restore(self.graph, archive, spool, write)

    def _write(self, rows: Rows, records: Mapping[bytes, bytes], *, whole: bool) -> None:
        rows.write(records, msgspec.msgpack.encode(_Note(self._fingerprint, self.offsets, self.step, whole)))

    def _read_note(self, rows: Rows, note: bytes) -> None:
        try:
            found = msgspec.msgpack.decode(note, type=_Note)
        except msgspec.MsgspecError:
            found = None
        if found is None or found.fingerprint != self._fingerprint or not found.whole:
            log.warning("the stored identity graph is of other settings, or unfinished, and is not used")
            rows.clear()
            return
        self.offsets, self.step = found.offsets, found.step


def open_rows(path: Path, memory_mb: int = MEMORY_MB) -> DiskRows:
    """Open, or make, the store of a graph on disk; what was filed is there after the process was killed."""
    return DiskRows(path, memory_mb, logged=True, purpose="store of the identity graph")


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
