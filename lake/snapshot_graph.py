"""The graph and the state of people out of their changelogs in the lake, in SQL: the newest record of a key counts.

`nodes` are the identifiers with their people, `edges` the pairs shown together and the stewards' commands.

Partition by partition, so that what must be kept in memory at a time are the keys of one partition.
"""

from collections.abc import Sequence
from pathlib import Path

from lake.database import literal
from lake.snapshot_sources import Sources
from lake.tables import EVIDENCE, IDENTITIES

SHARE_PEOPLE = 40_000
"""People of a share: their state is some 100 MB when it is read as a whole."""

MOST_SHARES = 400
_HEX = 16**4

_NODE = '{"one_id": "VARCHAR", "first_ms": "BIGINT", "first_id": "VARCHAR", "has_part": "BOOLEAN"}'
_EDGE = '{"ms": "BIGINT", "id": "VARCHAR", "kind": "VARCHAR"}'
_FACTS = """
CREATE OR REPLACE TEMP TABLE facts AS
WITH kept AS (SELECT key, value, "offset" FROM {relation} WHERE "offset" < {end}),
newest AS (SELECT max("offset") AS "offset" FROM kept GROUP BY key)
SELECT decode(key) AS key, decode(value) AS value FROM kept
WHERE "offset" IN (FROM newest) AND value IS NOT NULL AND key >= '\\x01'::BLOB
"""
_STATE = """
COPY (
    WITH kept AS (
        SELECT key, value, "offset" FROM {relation} WHERE "offset" < {end} AND key >= '\\x01'::BLOB
    ), newest AS (SELECT max("offset") AS "offset" FROM kept GROUP BY key)
    SELECT decode(key) AS one_id, value, {share} AS share FROM kept
    WHERE "offset" IN (FROM newest) AND value IS NOT NULL
) TO {folder} (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (share), OVERWRITE_OR_IGNORE,
    FILENAME_PATTERN 'p{number}-{{i}}', ROW_GROUP_SIZE 8192)
"""
# In the order of `Graph.evidence`: what was seen, what was shown together, what was commanded, each by rank.
_EVIDENCE = """
SELECT kind, a, b, make_timestamp_ms(ms)::TIMESTAMPTZ AS time, id AS event_id FROM (
    SELECT 0 AS what, 'seen' AS kind, ident AS a, NULL AS b, first_ms AS ms, first_id AS id, place AS place_a,
        0 AS place_b FROM nodes
    UNION ALL
    SELECT CASE WHEN e.kind = 'edge' THEN 1 ELSE 2 END, e.kind, e.a, e.b, e.ms, e.id, x.place, y.place
    FROM edges e JOIN kinds x ON x.kind = split_part(e.a, ':', 1) JOIN kinds y ON y.kind = split_part(e.b, ':', 1)
) ORDER BY what, place_a, a, place_b, b
"""
_IDENTIFIERS = """
SELECT n.one_id, split_part(n.ident, ':', 1) AS kind, substr(n.ident, strpos(n.ident, ':') + 1) AS value,
    make_timestamp_ms(s.first_ms)::TIMESTAMPTZ AS first_seen, make_timestamp_ms(s.last_ms)::TIMESTAMPTZ AS last_seen,
    coalesce(s.events, 0) AS events
FROM nodes n LEFT JOIN (
    SELECT ident, sum(events)::BIGINT AS events, min(first_ms) AS first_ms, max(last_ms) AS last_ms
    FROM sightings GROUP BY ident
) s USING (ident)
ORDER BY n.one_id, n.place, n.ident
"""


def make_tables(sources: Sources, kinds: Sequence[str]) -> None:
    """Make the tables `kinds` (in order of priority), and empty `nodes` and `edges` (commands too)."""
    sql = sources.sql
    sql.execute("CREATE TABLE kinds (kind VARCHAR, place INTEGER)")
    sql.executemany("INSERT INTO kinds VALUES (?, ?)", [(kind, place) for place, kind in enumerate(kinds)])
    sql.execute(
        "CREATE TABLE nodes (ident VARCHAR, one_id VARCHAR, has_part BOOLEAN, first_ms BIGINT, first_id VARCHAR,"
        " place INTEGER)"
    )
    sql.execute("CREATE TABLE edges (kind VARCHAR, a VARCHAR, b VARCHAR, ms BIGINT, id VARCHAR)")


def read_graph(sources: Sources, ends: dict[int, int]) -> None:
    """Fill `nodes` and `edges` from the graph's changelog up to these offsets, exclusive, by partition."""
    sql = sources.sql
    for number, end in sorted(ends.items()):
        if not end:
            continue
        sql.execute(_FACTS.format(relation=sources.partition("graph", "identity.graph", number, end), end=end))
        sql.execute(
            f"""
            INSERT INTO nodes SELECT key, v.one_id, v.has_part, v.first_ms, v.first_id, k.place
            FROM (SELECT key, from_json(value, '{_NODE}') AS v FROM facts WHERE NOT contains(key, chr(0)))
            LEFT JOIN kinds k ON k.kind = split_part(key, ':', 1)
            """  # noqa: S608  constants
        )
        sql.execute(
            f"""
            INSERT INTO edges SELECT coalesce(v.kind, 'edge'), split_part(key, chr(0), 1), split_part(key, chr(0), 2),
                v.ms, v.id
            FROM (SELECT key, from_json(value, '{_EDGE}') AS v FROM facts WHERE contains(key, chr(0)))
            """  # noqa: S608  constants
        )
    sql.execute("DROP TABLE IF EXISTS facts")


def count_people(sources: Sources) -> int:
    """Return how many people the table `nodes` has."""
    [(people,)] = sources.sql.execute("SELECT count(DISTINCT one_id) FROM nodes").fetchall()
    return int(people)


def shares_for(people: int, share_people: int) -> int:
    """Return into how many shares so many people are laid out."""
    return max(1, min(MOST_SHARES, -(-people // share_people)))


def share_of(column: str, shares: int) -> str:
    """Return in SQL the number of the share that a OneID belongs to."""
    return f"(('0x' || left({column}, 4))::INTEGER * {shares} // {_HEX})"


def write_nodes(sources: Sources, shares: int, scratch: Path) -> None:
    """Write the identifiers by share into `scratch/nodes`."""
    sources.sql.execute(
        f"COPY (SELECT one_id, ident, has_part, {share_of('one_id', shares)} AS share FROM nodes)"  # noqa: S608  our own
        f" TO {literal(str(scratch / 'nodes'))} (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (share))"
    )


def write_state(sources: Sources, ends: dict[int, int], shares: int, scratch: Path) -> None:
    """Write the newest state of everybody by share into `scratch/state`."""
    folder = literal(str(scratch / "state"))
    for number, end in sorted(ends.items()):
        if end:
            relation = sources.partition("state", "profiles.state", number, end)
            share = share_of("decode(key)", shares)
            sources.sql.execute(_STATE.format(relation=relation, end=end, folder=folder, number=number, share=share))


def write_identifiers(sources: Sources, path: Path) -> int:
    """Write the table of identifiers from the tables `nodes` and `sightings`; return the number of rows."""
    return sources.write(_IDENTIFIERS, path, IDENTITIES)


def write_evidence(sources: Sources, path: Path) -> int:
    """Write the table of evidence; return the number of rows."""
    return sources.write(_EVIDENCE, path, EVIDENCE)
