"""Which identifiers hang together by any evidence: groups that cannot touch each other's people.

Found with a union of numbers: in Python's own memory are only some numbers for each identifier.
"""

from array import array
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

BATCH = 50_000
"""Rows fetched at a time."""


def find_groups(connection: duckdb.DuckDBPyConnection, named: str, pairs: str) -> None:
    """Make the table `components` (ident, component): the least number among those that hang together.

    `named` is a query of all identifiers, each once; `pairs` one of those that evidence joins.
    """
    connection.execute(
        f"CREATE OR REPLACE TABLE named AS SELECT row_number() OVER () - 1 AS n, ident FROM ({named}) AS t(ident)"  # noqa: S608
    )
    [(size,)] = connection.execute("SELECT count(*) FROM named").fetchall()
    root = array("q", range(size))

    def find(n: int) -> int:
        while root[n] != n:
            root[n] = root[root[n]]
            n = root[n]
        return n

    joined = f"""
        SELECT a.n, b.n FROM ({pairs}) AS p(lo, hi) JOIN named a ON a.ident = p.lo JOIN named b ON b.ident = p.hi
    """  # noqa: S608
    for a, b in stream(connection, joined):
        one, other = find(a), find(b)
        if one != other:
            root[max(one, other)] = min(one, other)
    for n in range(size):
        root[n] = find(n)
    numbers = pa.table({"n": pa.array(range(size), pa.int64()), "component": pa.array(root, pa.int64())})
    connection.register("numbers", numbers)
    connection.execute(
        "CREATE OR REPLACE TABLE components AS SELECT ident, component FROM named JOIN numbers USING (n)"
    )
    connection.unregister("numbers")


def stream(cursor: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query, some at a time."""
    cursor.execute(query)
    while rows := cursor.fetchmany(BATCH):
        yield from rows
