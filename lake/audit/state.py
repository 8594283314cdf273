"""The live state beside the facts: who holds which part, sightings, marks and decisions, published profiles, tags.

The tables of `lake.audit.tables` hold one range of people; `owners`, `facts` and the lake's views hold everybody, so
each statement asks for the range from `low` up to `high`.
"""

import duckdb

from lake.audit.columns import TIMES
from lake.audit.found import Found
from lake.audit.tables import PUBLISHABLE

MINE = """
CREATE OR REPLACE TEMP MACRO mine(one_id) AS one_id >= getvariable('low') AND one_id < getvariable('high')
"""

PUBLISHED = """
CREATE OR REPLACE TABLE published_now AS
SELECT * FROM lake_profiles WHERE mine(one_id)
QUALIFY row_number() OVER (PARTITION BY one_id ORDER BY written_at DESC, "offset" DESC) = 1
"""

RANGE = (
    """
CREATE OR REPLACE TEMP TABLE ev AS
SELECT o.one_id, f.part, f.event_id, f.type, f.ms, f.idents, f.data
FROM facts f JOIN (SELECT ident, one_id FROM owners WHERE mine(one_id)) o ON o.ident = f.part
WHERE o.one_id NOT IN (SELECT one_id FROM busy)
""",
    """
CREATE OR REPLACE TEMP TABLE unbounded AS
SELECT DISTINCT o.one_id, u.what FROM unbounded_parts u
JOIN (SELECT ident, one_id FROM owners WHERE mine(one_id)) o ON o.ident = u.part
""",
)

_PARTS = """
WITH counted AS (SELECT part, count(*) AS events FROM facts GROUP BY part),
expected AS (SELECT c.part, o.one_id, c.events FROM counted c JOIN owners o ON o.ident = c.part)
SELECT coalesce(e.one_id, l.one_id), coalesce(e.part, l.part), l.one_id, e.one_id
FROM expected e FULL JOIN (FROM held WHERE events > 0) l ON l.part = e.part
WHERE l.one_id IS DISTINCT FROM e.one_id
    AND coalesce(e.one_id, '') NOT IN (SELECT one_id FROM busy)
    AND coalesce(l.one_id, '') NOT IN (SELECT one_id FROM busy)
ORDER BY 1, 2
"""

_SIGHTINGS = """
WITH carried AS (SELECT one_id, part, unnest(idents[2:]) AS ident, ms FROM ev),
expected AS (
    SELECT any_value(one_id) AS one_id, part, ident, count(*) AS events, min(ms) AS first_ms, max(ms) AS last_ms
    FROM carried GROUP BY part, ident
), live AS (
    SELECT s.*, p.one_id FROM live_sightings s JOIN live_parts p USING (part)
    WHERE p.one_id NOT IN (SELECT one_id FROM busy) AND s.part IN (SELECT part FROM ev)
)
SELECT coalesce(e.one_id, l.one_id), coalesce(e.part, l.part), coalesce(e.ident, l.ident),
    CASE WHEN l.part IS NOT NULL THEN concat_ws(' ', l.events, l.first_ms, l.last_ms) END,
    CASE WHEN e.part IS NOT NULL THEN concat_ws(' ', e.events, e.first_ms, e.last_ms) END
FROM expected e FULL JOIN live l ON l.part = e.part AND l.ident = e.ident
WHERE (l.events, l.first_ms, l.last_ms) IS DISTINCT FROM (e.events, e.first_ms, e.last_ms)
    AND (e.part IS NULL OR e.part IN (SELECT part FROM live_parts))
ORDER BY 1, 2, 3
"""

# The state of people says which triggers were decided, the topics say it too: in one transaction.
_MARKS = """
WITH decided AS (
    SELECT t.trigger_id, any_value(t.part) AS part, any_value(t.rule) AS rule, any_value(t.anchor_event_id) AS anchor,
        arg_max(t.outcome, t."offset") AS outcome, arg_max(epoch_ms(t.decided_at), t."offset") AS at_ms,
        bool_and(t.sure) AS sure
    FROM decided_triggers t JOIN live_parts p USING (part)
    WHERE p.one_id NOT IN (SELECT one_id FROM busy) GROUP BY t.trigger_id
), marks AS (FROM live_marks WHERE one_id NOT IN (SELECT one_id FROM busy))
SELECT p.one_id, d.trigger_id IS NULL AND s.written_ms > getvariable('fresh'),
    coalesce(m.key, d.rule || ' ' || d.trigger_id), m.outcome, d.outcome, m.at_ms, d.at_ms, d.anchor
FROM marks m FULL JOIN decided d ON d.trigger_id = m.trigger_id AND d.part = m.part
JOIN live_parts p ON p.part = coalesce(m.part, d.part) JOIN live_people s ON s.one_id = p.one_id
WHERE (m.outcome, m.at_ms) IS DISTINCT FROM (d.outcome, d.at_ms) AND (m.outcome IS NOT NULL OR d.sure)
ORDER BY 1, 3
"""

_TAGS = """
WITH last AS (
    SELECT one_id, tag, arg_max(change, ROW(written_at, partition, "offset", change)) AS change,
        arg_max(evidence, ROW(written_at, partition, "offset", change)) AS evidence
    FROM lake_tags WHERE mine(one_id) GROUP BY one_id, tag
), said AS (SELECT one_id, tag, evidence FROM last WHERE change = 'entered'),
shown AS (
    SELECT one_id, unnest(tags) AS tag FROM published_now WHERE NOT gone AND sure(written_at)
)
SELECT coalesce(s.one_id, h.one_id), coalesce(s.tag, h.tag), s.tag IS NOT NULL, h.tag IS NOT NULL, s.evidence
FROM said s FULL JOIN shown h ON s.one_id = h.one_id AND s.tag = h.tag
WHERE (s.tag IS NULL OR h.tag IS NULL) AND coalesce(s.one_id, h.one_id) NOT IN (SELECT one_id FROM busy)
    AND coalesce(s.one_id, h.one_id) NOT IN (SELECT one_id FROM published_now WHERE NOT sure(written_at))
ORDER BY 1, 2
"""

AS_OF_MS = 120_000
"""By how much the timestamp of a profile may differ from the time of day that it was as of.

It is written when the batch before has been committed, which lasts as long as Kafka is away.
"""

_AS_OF = f"""
SELECT p.one_id, epoch_ms(p.written_at), l.published_ms FROM published_now p JOIN live_people l USING (one_id)
WHERE NOT p.gone AND sure(p.written_at) AND NOT l.unpublished AND p.one_id NOT IN (SELECT one_id FROM busy)
    AND abs(epoch_ms(p.written_at) - l.published_ms) > {AS_OF_MS}
ORDER BY 1
"""  # noqa: S608  a constant

_MISSING = """
SELECT coalesce(l.one_id, p.one_id), l.one_id IS NOT NULL, p.one_id IS NOT NULL AND NOT p.gone
FROM (FROM live_people WHERE has_parts) l FULL JOIN published_now p ON p.one_id = l.one_id
WHERE (l.one_id IS NOT NULL) <> (p.one_id IS NOT NULL AND NOT p.gone)
    AND (l.one_id IS NULL OR NOT l.unpublished) AND (p.one_id IS NULL OR sure(p.written_at))
    AND coalesce(l.one_id, p.one_id) NOT IN (SELECT one_id FROM busy)
ORDER BY 1
"""


def compare_parts(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Compare who holds which part, of everybody: the table `held` (part, one_id, events) with the owners."""
    [(count,)] = connection.execute("SELECT count(*) FROM held").fetchall()
    found.compared["parts"] += count
    for one_id, part, live, expected in connection.execute(_PARTS).fetchall():
        found.add("part", one_id, part, live, expected, _events_of(connection, part) if found.keeps else ())


def compare_sightings(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Compare what the parts have seen of further identifiers."""
    for one_id, part, ident, live, expected in connection.execute(_SIGHTINGS).fetchall():
        behind = _events_of(connection, part) if found.keeps else ()
        found.add("sighting", one_id, f"{ident} in {part}", live, expected, behind)


def compare_marks(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Compare the marks of decided triggers with the decisions that were published."""
    for one_id, fresh, key, live, said, live_ms, said_ms, anchor in connection.execute(_MARKS).fetchall():
        if fresh:
            found.explained["decisions that may not be in the lake yet"] += 1
            continue
        behind = [anchor or key.rsplit("|", 1)[-1]]
        found.add("mark", one_id, key, _decision(live, live_ms), _decision(said, said_ms), behind)
    [(count,)] = connection.execute("SELECT count(*) FROM live_marks").fetchall()
    found.compared["marks"] += count


def compare_published(connection: duckdb.DuckDBPyConnection, found: Found, by_events: bool) -> None:
    """Compare the newest published profiles with the state, and the tags entered and left with their tags.

    `by_events`: the clock is that of a backfill; else the time of day when it is published is what a profile is as of.
    """
    for one_id, written, as_of in () if by_events else connection.execute(_AS_OF).fetchall():
        found.add("published", one_id, "as of", as_of, written)
    for one_id, there, published in connection.execute(_MISSING).fetchall():
        found.add("published", one_id, "profile", _there(published), _there(there))
    [(count,)] = connection.execute("SELECT count(*) FROM published_now WHERE NOT gone").fetchall()
    found.compared["published profiles"] += count
    for one_id, column, published, state in connection.execute(_stale()).fetchall():
        behind = ()
        if found.keeps:
            rows = connection.execute(
                "SELECT event_id FROM ev WHERE one_id = ? ORDER BY ms DESC, event_id LIMIT 5", [one_id]
            ).fetchall()
            behind = tuple(event_id for (event_id,) in rows)
        found.add("published", one_id, column, published, state, behind)
    for one_id, tag, said, shown, evidence in connection.execute(_TAGS).fetchall():
        found.add("tag", one_id, tag, "entered" if said else "left", "held" if shown else "not held", evidence or ())
    [(tags,)] = connection.execute("SELECT coalesce(sum(len(tags)), 0) FROM published_now").fetchall()
    found.compared["tags"] += tags


def _stale() -> str:
    """Return a query for columns of published profiles that are not as the state says."""
    rows = []
    for name in (*PUBLISHABLE, "identifiers"):
        live, then = f'p."{name}"', f't."{name}"'
        if name in TIMES:
            live, then = f"epoch_ms({live})", f"epoch_ms({then})"
        live, then = f"to_json({live})::VARCHAR", f"to_json({then})::VARCHAR"
        text = f"{{'name': '{name}', 'live': {live}, 'state': {then}}}"
        rows.append(f"CASE WHEN {live} IS DISTINCT FROM {then} THEN {text} END")
    return f"""
WITH judged AS (
    SELECT p.one_id, [{", ".join(rows)}] AS all_of
    FROM published_now p JOIN live_then t USING (one_id) JOIN live_people l USING (one_id)
    WHERE NOT p.gone AND sure(p.written_at) AND NOT l.unpublished AND p.one_id NOT IN (SELECT one_id FROM busy)
)
SELECT one_id, d.name, d.live, d.state FROM (SELECT one_id, unnest(all_of) AS d FROM judged) WHERE d IS NOT NULL
ORDER BY one_id, d.name
"""  # noqa: S608  constants


def _events_of(connection: duckdb.DuckDBPyConnection, part: str) -> list[str]:
    rows = connection.execute(
        "SELECT event_id FROM facts WHERE part = ? ORDER BY ms DESC, event_id LIMIT 5", [part]
    ).fetchall()
    return [event_id for (event_id,) in rows]


def _decision(outcome: str | None, at_ms: int | None) -> str | None:
    return None if outcome is None else f"{outcome} at {at_ms}"


def _there(there: bool) -> str:
    return "there" if there else "not there"
