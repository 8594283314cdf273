"""Records of the identity graph's log, put in order on disk: for a start that must read more of them than memory should
hold.

DuckDB does it, which takes a fixed amount of memory and puts the rest into files. But it does not sort, join or group
any number of rows so. Everything is therefore done in shares, by the hash of what is looked for, which are small
however many records there are; rows of one hash are written side by side, so that a share is read without the others.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from identity.evidence import Command
from schemas.errors import StateError
from stream import graph_log

MEMORY: Final = "256MB"
BUCKETS: Final = 256  # as in the statements
SHARE: Final = 1_000_000
"""Records in as many buckets as are worked on at once, about."""

_FETCH: Final = 20_000

_TABLES: Final = """
CREATE TABLE node (ident VARCHAR, one_id VARCHAR, ms BIGINT, id VARCHAR, part BOOLEAN, seq INTEGER, spot UTINYINT);
CREATE TABLE edge (lo VARCHAR, hi VARCHAR, ms BIGINT, id VARCHAR, seq INTEGER, spot UTINYINT);
CREATE TABLE command (lo VARCHAR, hi VARCHAR, ms BIGINT, id VARCHAR, kind VARCHAR, seq INTEGER, spot UTINYINT);
CREATE TABLE alias (one_id VARCHAR, ident VARCHAR, seq INTEGER, spot UTINYINT);
CREATE TABLE person (ident VARCHAR, one_id VARCHAR, ms BIGINT, id VARCHAR, part BOOLEAN, spot UTINYINT, home UTINYINT);
CREATE TABLE half (lo VARCHAR, hi VARCHAR, ms BIGINT, id VARCHAR, one VARCHAR, spot UTINYINT);
CREATE TABLE owned (lo VARCHAR, hi VARCHAR, ms BIGINT, id VARCHAR, one VARCHAR, other VARCHAR, home UTINYINT);
"""
"""`seq` rises with every `add`. `spot` is the bucket of the first column, in `half` of the second, `home` of the OneID.
"""

_COLUMNS: Final = {
    "node": ("ident", "one_id", "ms", "id", "part", "seq"),
    "edge": ("lo", "hi", "ms", "id", "seq"),
    "command": ("lo", "hi", "ms", "id", "kind", "seq"),
    "alias": ("one_id", "ident", "seq"),
}

_PERSON: Final = """
INSERT INTO person SELECT ident, one_id, ms, id, part, spot, hash(one_id) % 256 AS home FROM node
WHERE spot BETWEEN $low AND $high QUALIFY row_number() OVER (PARTITION BY ident ORDER BY seq DESC) = 1 ORDER BY home
"""
"""The last record of each identifier."""

_HALF: Final = """
INSERT INTO half SELECT lo, hi, last.ms, last.id, one_id, hash(hi) % 256 AS next FROM (
    FROM edge WHERE spot BETWEEN $low AND $high
    QUALIFY row_number() OVER (PARTITION BY lo, hi ORDER BY seq DESC) = 1
) last LEFT JOIN (FROM person WHERE spot BETWEEN $low AND $high) low ON lo = ident ORDER BY next
"""
"""The last record of each edge, with whose the lower end is."""

_OWNED: Final = """
INSERT INTO owned SELECT lo, hi, first.ms, first.id, one, one_id, hash(one) % 256 AS home FROM (
    FROM half WHERE spot BETWEEN $low AND $high
) first LEFT JOIN (FROM person WHERE spot BETWEEN $low AND $high) high ON hi = ident ORDER BY home
"""
"""The same with whose the higher end is."""


Pair = tuple[str, str, int, str]
"""Two identifiers, and the earliest (time in epoch milliseconds, event id) that showed them together."""


class Seen(NamedTuple):
    """An identifier with its OneID, first sighting, and whether it has a part."""

    one_id: str
    ident: str
    ms: int
    id: str
    part: bool


class Spool:
    """Takes records in with `add`; then read. `step` is the number of the last decision.

    For a graph that is empty read `people`, then `across`; for another `seen`, `edges`, and in the end `owners`. Its
    files are in `folder`, which no other spool uses, or among the system's temporary ones.
    """

    def __init__(self, folder: Path | None = None) -> None:
        import duckdb  # takes half a second, which a start with little to read has no use for

        if folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="graph-"))
        else:
            self._folder = folder / "restoring"
            shutil.rmtree(self._folder, ignore_errors=True)  # of a start that was killed
            self._folder.mkdir(parents=True)
        self._db = duckdb.connect(
            str(self._folder / "records"),
            config={
                "memory_limit": MEMORY,
                "temp_directory": str(self._folder / "more"),
                "threads": 2,
                "preserve_insertion_order": False,
            },
        )
        self._db.execute(_TABLES)
        self._seq = 0
        self._added = 0
        self.step = 0

    def add(self, records: Mapping[bytes, bytes | None]) -> None:
        """Take in records, each newer than those with its key before; None: deleted."""
        self._seq += 1
        found = graph_log.sort((key, value) for key, value in records.items() if value is not None)
        self.step = max(self.step, found.step)
        for key, value in records.items():
            if value is None:
                self._delete(key)
        nodes = [(ident, row.one_id, row.first_ms, row.first_id, row.has_part) for ident, row in found.nodes.items()]
        self._insert("node", nodes)
        self._insert("edge", [(lo, hi, row.ms, row.id) for lo, hi, row in found.edges])
        self._insert("command", [(lo, hi, row.ms, row.id, row.kind) for lo, hi, row in found.commands])
        self._insert("alias", found.aliases)

    def people(self, size: int) -> Iterator[tuple[list[Seen], list[Pair]]]:
        """Yield people, some with about `size` identifiers at a time: these, and the edges within each person.

        Raises StateError for an edge with an end that was never seen.
        """
        for task in (_PERSON, _HALF, _OWNED):
            self._do(task)
        for lo, hi in self._db.execute(
            "SELECT lo, hi FROM owned WHERE one IS NULL OR other IS NULL LIMIT 1"
        ).fetchall():
            raise StateError(f"the graph has an edge between identifiers of which one was never seen: {lo} {hi}")
        for share in self._shares():
            yield from self._people(share, size)

    def across(self, size: int) -> Iterator[list[Pair]]:
        """Yield the edges between people, those of one person together, `size` at a time."""
        query = "SELECT lo, hi, ms, id FROM owned WHERE home BETWEEN ? AND ? AND one <> other ORDER BY one, ms, id"
        for share in self._shares():
            yield from self._some(query, size, *share)

    def seen(self, size: int) -> Iterator[list[Seen]]:
        """Yield all identifiers in the order in which their records came, `size` at a time."""
        for seq in range(1, self._seq + 1):
            for rows in self._some("SELECT one_id, ident, ms, id, part FROM node WHERE seq = ?", size, seq):
                yield list(map(Seen._make, rows))

    def edges(self, size: int) -> Iterator[list[Pair]]:
        """Yield all edges in the order in which their records came, `size` at a time."""
        for seq in range(1, self._seq + 1):
            yield from self._some("SELECT lo, hi, ms, id FROM edge WHERE seq = ?", size, seq)

    def owners(self, size: int) -> Iterator[list[tuple[str, str]]]:
        """Yield all identifiers with the OneIDs they have in the end, `size` at a time."""
        self._do(_PERSON)
        return self._some("SELECT ident, one_id FROM person", size)

    def commands(self, size: int) -> Iterator[list[tuple[str, str, Command]]]:
        """Yield all commands, `size` at a time."""
        for rows in self._some("SELECT lo, hi, ms, id, kind FROM command", size):
            yield [(lo, hi, Command(*command)) for lo, hi, *command in rows]

    def aliases(self, size: int) -> Iterator[list[tuple[str, str]]]:
        """Yield former OneIDs with the identifiers they are made of, `size` at a time."""
        return self._some("SELECT one_id, ident FROM alias", size)

    def close(self) -> None:
        """Remove everything."""
        self._db.close()
        shutil.rmtree(self._folder)

    def _insert(self, table: str, rows: list[Any]) -> None:
        if not rows:
            return
        columns = [*map(pa.array, zip(*rows, strict=True)), pa.array([self._seq] * len(rows), pa.int32())]
        names = _COLUMNS[table]
        self._db.register("new", pa.table(columns, names=names))
        spot = f"hash({names[0]}) % 256 AS spot"
        self._db.execute(f"INSERT INTO {table} SELECT *, {spot} FROM new ORDER BY spot")  # noqa: S608
        self._db.unregister("new")
        self._added += len(rows)

    def _delete(self, key: bytes) -> None:
        if key.startswith(graph_log.ALIAS):
            self._db.execute("DELETE FROM alias WHERE one_id = ?", [key[len(graph_log.ALIAS) :].decode()])
            return
        ends = key.decode().split("\0")
        if len(ends) == 1:
            self._db.execute("DELETE FROM node WHERE ident = ?", ends)
        else:
            table = "edge" if len(ends) == 2 else "command"
            self._db.execute(f"DELETE FROM {table} WHERE lo = ? AND hi = ?", ends[:2])  # noqa: S608

    def _shares(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last bucket of each share."""
        width = max(1, BUCKETS * SHARE // max(1, self._added))
        for first in range(0, BUCKETS, width):
            yield first, min(first + width, BUCKETS) - 1

    def _do(self, task: str) -> None:
        """Run a task in every share."""
        for low, high in self._shares():
            self._db.execute(task, {"low": low, "high": high})

    def _people(self, share: tuple[int, int], size: int) -> Iterator[tuple[list[Seen], list[Pair]]]:
        seen = self._read(
            "SELECT one_id, ident, ms, id, part FROM person WHERE home BETWEEN ? AND ? ORDER BY one_id, ident",
            *share,
        )
        inside = self._read(
            "SELECT one, lo, hi, ms, id FROM owned WHERE home BETWEEN ? AND ? AND one = other ORDER BY one",
            *share,
        )
        edge = next(inside, None)
        some: list[Seen] = []
        for row in map(Seen._make, seen):
            if len(some) >= size and row.one_id != some[-1].one_id:
                edges, edge = _until(some[-1].one_id, edge, inside)
                yield some, edges
                some = []
            some.append(row)
        if some:
            yield some, _until(some[-1].one_id, edge, inside)[0]

    def _read(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        cursor = self._db.cursor()
        cursor.execute(query, values)
        while rows := cursor.fetchmany(_FETCH):
            yield from rows
        cursor.close()

    def _some(self, query: str, size: int, *values: int) -> Iterator[list[Any]]:
        some: list[Any] = []
        for row in self._read(query, *values):
            some.append(row)
            if len(some) >= size:
                yield some
                some = []
        if some:
            yield some


def _until(one_id: str, edge: Any, rest: Iterator[Any]) -> tuple[list[Pair], Any]:
    """Return the edges of people up to one, and the first of the next."""
    found = []
    while edge is not None and edge[0] <= one_id:
        found.append(edge[1:])
        edge = next(rest, None)
    return found, edge
