"""Profiles of the live state against those that SQL makes of the events, person by person, in one pass of a table."""

from collections.abc import Collection

import duckdb

from lake.audit.columns import EVENTS_BEHIND, NEEDS_BOUNDED, compared
from lake.audit.found import Found

COLUMNS = compared()


def compare(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Compare the tables `live` (columns of profiles) and `expected`; note each difference in `found`.

    The table `unbounded` (one_id, what) names people some of whose facts are beyond what a part keeps.
    """
    beyond: dict[str, set[str]] = {}
    for one_id, what in connection.execute("SELECT one_id, what FROM unbounded").fetchall():
        beyond.setdefault(one_id, set()).update(NEEDS_BOUNDED[what])
    [(people, empty)] = connection.execute(
        "SELECT count(*), count(*) FILTER (l.one_id IS NULL) FROM expected e LEFT JOIN live l USING (one_id)"
    ).fetchall()
    found.compared["people"] += people
    found.compared["fields"] += (people - empty) * len(COLUMNS)
    for one_id, live, events in connection.execute(_MISSING).fetchall():
        found.add(
            "person", one_id, "events", live, events, _behind(connection, one_id, "events") if found.keeps else ()
        )
    for one_id, column, live, expected in connection.execute(_differences()).fetchall():
        if column in beyond.get(one_id, ()):
            found.explained["beyond what a part keeps"] += 1
        else:
            behind = _behind(connection, one_id, column) if found.keeps else ()
            found.add("profile", one_id, column, live, expected, behind)


_MISSING = """
SELECT coalesce(e.one_id, l.one_id) AS one_id, l.events, e.events
FROM expected e FULL JOIN live l ON e.one_id = l.one_id
WHERE (l.one_id IS NULL OR e.one_id IS NULL) AND coalesce(e.events, l.events) > 0
ORDER BY one_id
"""


# A part remembers the ids of its newest events: one that is missing there, or beyond those of the lake, is to blame.
_OTHERWISE_KNOWN = """
WITH mine AS (FROM ev WHERE one_id = ?), parts AS (
    SELECT p.*, getvariable('horizon_ms') AS horizon FROM live_parts p WHERE p.part IN (SELECT part FROM mine)
)
SELECT event_id FROM mine m JOIN parts p USING (part)
WHERE m.ms > p.last_ms - p.horizon AND NOT list_contains(p.recent, m.event_id)
UNION
SELECT event_id FROM (SELECT part, unnest(recent) AS event_id FROM parts) r ANTI JOIN mine m USING (part, event_id)
ORDER BY 1 LIMIT 20
"""


def _differences() -> str:
    rows = ",\n".join(
        f"CASE WHEN {c.differ} THEN {{'name': '{c.name}', 'live': ({c.live})::VARCHAR, "
        f"'expected': ({c.expected})::VARCHAR}} END"
        for c in COLUMNS
    )
    return f"""
SELECT one_id, d.name, d.live, d.expected
FROM (SELECT e.one_id, unnest([{rows}]) AS d FROM expected e JOIN live l USING (one_id))
WHERE d IS NOT NULL ORDER BY one_id, d.name
"""  # noqa: S608  constants


def _behind(connection: duckdb.DuckDBPyConnection, one_id: str, column: str) -> Collection[str]:
    """Return ids of events that a column of a person follows from, the newest first."""
    if column == "events":
        rows = connection.execute(_OTHERWISE_KNOWN, [one_id]).fetchall()
        if rows:
            return [event_id for (event_id,) in rows]
    types = EVENTS_BEHIND.get(column, ("order.",))
    where = " OR ".join("starts_with(type, ?)" for _ in types)
    rows = connection.execute(
        f"SELECT event_id FROM ev WHERE one_id = ? AND ({where}) ORDER BY ms DESC, event_id LIMIT 20",  # noqa: S608
        [one_id, *types],
    ).fetchall()
    return [event_id for (event_id,) in rows]
