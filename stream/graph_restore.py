"""A graph from more records of its log than memory should hold.

The records say whose each identifier is. So people are made one by one from the evidence within each of them, and
written; only then comes what stands between people, and what stewards ordered, in the way of any new evidence. Nobody
is taken at his word: in the end each identifier must be of the person that its record says.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from identity.archive import Archive
from identity.graph import Graph
from stream.graph_spool import Spool

log = logging.getLogger(__name__)

SHARE: Final = 10_000
"""Identifiers or edges worked on at a time."""

_TELL_S: Final = 10.0

_T = TypeVar("_T", bound=tuple[Any, ...] | list[Any])


def restore(graph: Graph, archive: Archive, spool: Spool, write: Callable[[Mapping[bytes, bytes]], None]) -> None:
    """Bring all records of `spool` into `graph`, whose shelf `write` writes to.

    Raises StateError if other people come of the evidence than the records say, or none can.
    """
    fresh = archive.empty
    expected: dict[str, str] = {}  # whose identifiers are that were in other people's hands in between
    if fresh:
        expected.update(_write_people(graph, spool, write))
    else:
        for rows in _telling(spool.seen(SHARE), "identifiers"):
            graph.add(((row.ident, row.ms, row.id, row.part) for row in rows), (), ())
            _file(archive, write)

    def note(before: Mapping[str, str | None]) -> None:
        for ident, one_id in before.items():
            if fresh and one_id is not None and graph.first_seen(ident) is not None:
                expected.setdefault(ident, one_id)  # who only a steward named has no record
        _file(archive, write)

    for commands in spool.commands(SHARE):
        note(graph.add((), (), commands))
    for edges in _telling(spool.across(SHARE) if fresh else spool.edges(SHARE), "edges"):
        note(graph.add((), edges, ()))
    for names in spool.aliases(SHARE):
        for one_id, ident in names:
            graph.remember(one_id, ident)
        _file(archive, write)
    if fresh:
        for number, (ident, one_id) in enumerate(expected.items(), 1):
            graph.confirm(ident, one_id)
            if number % SHARE == 0:
                _file(archive, write)
    else:
        for owners in _telling(spool.owners(SHARE), "identifiers checked"):
            for ident, one_id in owners:
                graph.confirm(ident, one_id)
            _file(archive, write)


def _write_people(
    graph: Graph, spool: Spool, write: Callable[[Mapping[bytes, bytes]], None]
) -> Iterator[tuple[str, str]]:
    """Write all people; yield identifiers that the evidence within their person does not bring there."""
    for rows, edges in _telling(spool.people(SHARE), "identifiers"):
        one_ids = {row.one_id for row in rows}
        records, owners = graph.records(((row.ident, row.ms, row.id, row.part) for row in rows), edges, one_ids)
        write(records)
        for row in rows:
            if owners[row.ident] != row.one_id:
                yield row.ident, row.one_id


def _telling(shares: Iterator[_T], what: str) -> Iterator[_T]:
    """Pass shares on, and say now and then how many there were."""
    count = 0
    told = time.monotonic()
    for share in shares:
        yield share
        count += len(share[0]) if isinstance(share, tuple) else len(share)
        if time.monotonic() - told > _TELL_S:
            log.info("restoring the identity graph: %d %s", count, what)
            told = time.monotonic()


def _file(archive: Archive, write: Callable[[Mapping[bytes, bytes]], None]) -> None:
    write(archive.pack())
    archive.filed()
