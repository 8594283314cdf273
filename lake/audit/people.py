"""People from the whole set of evidence, and the live graph against them.

Evidence that does not hang together cannot change each other's people, so each connected set of it is clustered by
itself (`identity.cluster`), and only one is in memory at a time. What hangs together is found with a union of numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import duckdb
import pyarrow as pa

from identity.cluster import cluster
from identity.evidence import Command, Evidence
from identity.policy import Policy
from lake.audit.found import Found
from lake.groups import BATCH, find_groups, stream

_OWNERS = pa.schema([("ident", pa.string()), ("one_id", pa.string()), ("component", pa.int64())])

_NAMED = "SELECT ident FROM seen_ids UNION SELECT lo FROM commands UNION SELECT hi FROM commands"
_PAIRS = "SELECT lo, hi FROM edges UNION ALL SELECT lo, hi FROM commands"
_EVIDENCE = """
SELECT component, 0 AS what, ident AS a, NULL AS b, ms, event_id, NULL AS kind
FROM seen_ids JOIN components USING (ident)
UNION ALL
SELECT component, 1, lo, hi, ms, event_id, NULL FROM edges JOIN components ON ident = lo
UNION ALL
SELECT component, 2, lo, hi, ms, event_id, kind FROM commands JOIN components ON ident = lo
ORDER BY component
"""


def find_people(
    connection: duckdb.DuckDBPyConnection,
    policy: Policy,
    space: str,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> None:
    """Make the table `owners` (ident, one_id, component) of the tables `seen_ids`, `edges` and `commands`."""
    find_groups(connection, _NAMED, _PAIRS)
    [(total,)] = connection.execute("SELECT count(*) FROM seen_ids").fetchall()
    connection.execute("CREATE OR REPLACE TABLE owners (ident VARCHAR, one_id VARCHAR, component BIGINT)")
    writer = connection.cursor()
    rows: list[tuple[str, str, int]] = []
    done = 0
    for component, evidence in _evidence(stream(connection.cursor(), _EVIDENCE), policy):
        people = cluster(evidence, policy, space)
        rows += [(ident, one_id, component) for ident, one_id in people.owner.items()]
        if len(rows) >= BATCH:
            done += len(rows)
            _insert(writer, rows)
            progress("people", done, total)
    _insert(writer, rows)
    progress("people", total, total)


def _evidence(rows: Iterable[tuple[Any, ...]], policy: Policy) -> Iterator[tuple[int, Evidence]]:
    for component, some in groupby(rows, itemgetter(0)):
        evidence = Evidence(policy)
        for _, what, a, b, ms, event_id, kind in some:
            if what == 0:
                evidence.seen[a] = (ms, event_id)
            elif what == 1:
                evidence.edges[a, b] = (ms, event_id)
            else:
                evidence.commands[a, b] = Command(ms, event_id, kind)
        yield component, evidence


def _insert(writer: duckdb.DuckDBPyConnection, rows: list[tuple[str, str, int]]) -> None:
    if rows:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _OWNERS, strict=True)]
        writer.register("some_owners", pa.Table.from_arrays(arrays, schema=_OWNERS))
        writer.execute("INSERT INTO owners SELECT * FROM some_owners")
        writer.unregister("some_owners")
        rows.clear()


GRAPH = (
    # A key is an identifier, a pair, a pair with `command`, or begins with NUL (aliases, the step).
    """
CREATE OR REPLACE TABLE graph_rows AS
SELECT string_split(decode(key), chr(0)) AS key, decode(value)::JSON AS value
FROM (
    SELECT key, arg_max({'value': value}, "offset").value AS value FROM lake_graph
    WHERE epoch_ms(written_at) <= getvariable('until') GROUP BY key
) WHERE value IS NOT NULL AND octet_length(key) > 0
""",
    """
CREATE OR REPLACE TABLE graph_nodes AS
SELECT key[1] AS ident, value->>'one_id' AS one_id, (value->>'first_ms')::BIGINT AS ms, value->>'first_id' AS event_id,
    (value->>'has_part')::BOOLEAN AS first
FROM graph_rows WHERE len(key) = 1
""",
    """
CREATE OR REPLACE TABLE graph_edges AS
SELECT key[1] AS lo, key[2] AS hi, (value->>'ms')::BIGINT AS ms, value->>'id' AS event_id
FROM graph_rows WHERE len(key) = 2 AND key[1] <> ''
""",
    """
CREATE OR REPLACE TABLE graph_commands AS
SELECT key[1] AS lo, key[2] AS hi, (value->>'ms')::BIGINT AS ms, value->>'id' AS event_id, value->>'kind' AS kind
FROM graph_rows WHERE len(key) = 3 AND key[3] = 'command'
""",
    # What was changed so shortly before or after the cut that the two sides may not have seen the same of it.
    """
CREATE OR REPLACE TABLE unsettled AS
SELECT DISTINCT component FROM components JOIN (
    SELECT string_split(decode(key), chr(0))[1] AS ident FROM lake_graph
    WHERE epoch_ms(written_at) > getvariable('settled')
    UNION
    SELECT unnest(identifiers) FROM lake_events WHERE epoch_ms(written_at) > getvariable('settled')
) USING (ident)
""",
)

_NODES = """
SELECT coalesce(o.one_id, g.one_id), coalesce(o.ident, g.ident), g.one_id, o.one_id, g.ms, s.ms, g.event_id, s.event_id,
    g.first, s.first
FROM (owners o JOIN seen_ids s USING (ident)) FULL JOIN graph_nodes g ON g.ident = o.ident
WHERE (g.one_id IS DISTINCT FROM o.one_id OR g.ms IS DISTINCT FROM s.ms OR g.event_id IS DISTINCT FROM s.event_id
    OR g.first IS DISTINCT FROM s.first) AND coalesce(o.component, -1) NOT IN (SELECT component FROM unsettled)
ORDER BY 1, 2
"""
_EDGES = """
SELECT o.one_id, coalesce(e.lo, g.lo), coalesce(e.hi, g.hi), g.ms, e.ms, g.event_id, e.event_id
FROM edges e FULL JOIN graph_edges g ON g.lo = e.lo AND g.hi = e.hi
LEFT JOIN owners o ON o.ident = coalesce(e.lo, g.lo)
WHERE (g.ms IS DISTINCT FROM e.ms OR g.event_id IS DISTINCT FROM e.event_id)
    AND coalesce(o.component, -1) NOT IN (SELECT component FROM unsettled)
ORDER BY 1, 2, 3
"""
_COMMANDS = """
SELECT o.one_id, coalesce(e.lo, g.lo), coalesce(e.hi, g.hi), g.kind, e.kind, g.event_id, e.event_id
FROM commands e FULL JOIN graph_commands g ON g.lo = e.lo AND g.hi = e.hi
LEFT JOIN owners o ON o.ident = coalesce(e.lo, g.lo)
LEFT JOIN components c ON c.ident = coalesce(e.lo, g.lo)
WHERE (g.kind IS DISTINCT FROM e.kind OR g.event_id IS DISTINCT FROM e.event_id)
    AND coalesce(c.component, -1) NOT IN (SELECT component FROM unsettled)
ORDER BY 1, 2, 3
"""


def compare_graph(connection: duckdb.DuckDBPyConnection, found: Found, settled_ms: int) -> None:
    """Compare the graph in the lake with `owners` and the evidence.

    What was touched after `settled_ms` is not judged: the two sides may not have seen the same of it.
    """
    connection.execute("SET VARIABLE settled = ?", [settled_ms])
    for statement in GRAPH:
        connection.execute(statement)
    [(idents, edges, unsettled)] = connection.execute(
        "SELECT (SELECT count(*) FROM owners), (SELECT count(*) FROM edges), (SELECT count(*) FROM unsettled)"
    ).fetchall()
    found.compared["identifiers"] += idents
    found.compared["evidence"] += edges
    if unsettled:
        found.explained["groups of identifiers changing at the cut"] += unsettled
    for one_id, ident, live, expected, *rest in connection.execute(_NODES).fetchall():
        live_ms, ms, live_id, event_id, live_first, first = rest
        behind = [event_id] if event_id else []
        if live != expected:
            found.add("identity", one_id, ident, live, expected, behind)
        elif (live_ms, live_id) != (ms, event_id):
            found.add("evidence", one_id, f"first sight of {ident}", f"{live_ms} {live_id}", f"{ms} {event_id}", behind)
        else:
            found.add("evidence", one_id, f"part of {ident}", live_first, first, behind)
    for one_id, lo, hi, live_ms, ms, live_id, event_id in connection.execute(_EDGES).fetchall():
        behind = [event_id] if event_id else []
        found.add("evidence", one_id, f"{lo} with {hi}", _key(live_ms, live_id), _key(ms, event_id), behind)
    for one_id, lo, hi, live_kind, kind, live_id, event_id in connection.execute(_COMMANDS).fetchall():
        behind = [event_id] if event_id else []
        found.add(
            "evidence", one_id, f"steward on {lo} and {hi}", _key(live_kind, live_id), _key(kind, event_id), behind
        )


def _key(one: Any, other: Any) -> str | None:
    return None if one is None else f"{one} {other}"
