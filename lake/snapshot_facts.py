"""The events that a snapshot counts, and what it tells of triggers, changes of people, tags and answers, in SQL.

Needs the views `lake_TABLE`, the table `nodes` (identifiers with their people), and what `limit` was told.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lake.database import literal
from lake.live_tables import CHANGE_ORDER
from lake.snapshot_sources import Sources
from lake.snapshot_tables import OUTCOMES, SURVEYS, TAG_CHANGES
from lake.tables import EVENTS, IDENTITY_CHANGES, TRIGGERS

GOAL_COLUMNS = ("goal_at", "goal_until")

_LIMITS = "CREATE TABLE limits (number INTEGER, events BIGINT, written_ms BIGINT)"
_QUEUED = "CREATE TABLE queued (topic VARCHAR, number INTEGER, place BIGINT)"

# A partition takes an event in unless, by the last change of owners that it read before, the part belongs to somebody
# else than the event is addressed to; then the event is sent back, and stands in the lake once more. Parts that never
# moved need no look.
_MOVES = """
CREATE TABLE moves AS
SELECT partition, "offset" AS place, m.part AS part, m.to_one_id AS taker
FROM (
    SELECT partition, "offset", unnest(from_json(
        decode(value)::JSON->'moves', '[{"part":"VARCHAR","from_one_id":"VARCHAR","to_one_id":"VARCHAR"}]'
    )) AS m
    FROM lake_commands WHERE kind = 'change' AND contains(decode(value), '"from_one_id":"')
) WHERE m.from_one_id IS NOT NULL
"""
_BOUNCED = """
CREATE TABLE bounced AS
SELECT e.partition, e."offset" FROM (SELECT * FROM lake_events WHERE part IN (SELECT part FROM moves)) e
ASOF JOIN moves m ON m.part = e.part AND m.partition = e.partition AND m.place < e."offset"
WHERE m.taker <> e.one_id
"""
_REFUSED = """
CREATE TABLE refused AS
SELECT DISTINCT source_topic AS topic, source_partition AS number, source_offset AS place FROM lake_deadletters
"""
# Stewards' commands are addressed to nobody: they stand among the requests.
_BELOW = """
CREATE TEMP VIEW below AS
SELECT event_id, type, epoch_ms(time) AS time_ms, part, identifiers, data, topic, "partition", "offset", written_at,
    source_topic, source_partition, source_offset,
    coalesce((source_topic, source_partition, source_offset) IN (FROM refused), false)
        OR (e.topic, e."partition", e."offset") IN (FROM refused) AS refused
FROM lake_events e LEFT JOIN limits l ON l.number = e."partition"
WHERE CASE WHEN part IS NULL
    THEN "offset" < getvariable('requests') AND epoch_ms(written_at) <= getvariable('through_ms')
    ELSE "offset" < coalesce(l.events, 0) END
"""
_KEPT = """
CREATE TEMP VIEW kept AS
SELECT * FROM below
WHERE NOT refused
AND NOT (part IS NOT NULL AND ("partition", "offset") IN (FROM bounced))
AND NOT coalesce((source_topic, source_partition, source_offset) IN (FROM queued), false)
"""
_ALL_KEPT = "CREATE TEMP VIEW kept AS SELECT * FROM below WHERE NOT refused AND time_ms <= getvariable('as_of_ms')"
_SEVERAL = """
CREATE TABLE several AS SELECT id FROM (SELECT hash(event_id, part) AS id FROM kept) GROUP BY id HAVING count(*) > 1
"""
_COUNTED = """
CREATE TABLE counted AS
WITH found AS (
    SELECT event_id, type, time_ms, part, "partition", "offset", written_at, hash(event_id, part) AS id FROM kept
)
SELECT event_id, type, time_ms, part, "partition", "offset" FROM found WHERE id NOT IN (FROM several)
UNION ALL
SELECT event_id, type, time_ms, part, "partition", "offset" FROM (
    SELECT * FROM found WHERE id IN (FROM several)
    QUALIFY row_number() OVER (PARTITION BY event_id, part ORDER BY written_at, "partition", "offset") = 1
)
"""
_EVENTS = """
SELECT event_id, type, make_timestamp_ms(time_ms)::TIMESTAMPTZ AS time, n.one_id, part
FROM counted c LEFT JOIN nodes n ON n.ident = c.part ORDER BY time_ms, event_id, part
"""
# Whoever makes the picture must have found, in each part, as many events as are counted here.
_ODD = """
SELECT count(*) FROM (SELECT part, count(*) AS events FROM counted WHERE part IS NOT NULL GROUP BY part) c
FULL JOIN (SELECT ident AS part, sum(events) AS events FROM sightings WHERE is_part GROUP BY ident) s USING (part)
WHERE coalesce(c.events, 0) <> coalesce(s.events, 0)
"""
# What the profile stage says of a person is in the transaction of the records of state that it belongs to, and so not
# later than these. Whose state was written when need be known only of those of whom something was said between the
# first and the last of these times: the table `homes` has them.
_CLOSE = """
SELECT DISTINCT one_id FROM (
    SELECT one_id, written_at FROM lake_triggers UNION ALL SELECT one_id, written_at FROM lake_tags
) WHERE epoch_ms(written_at) > (SELECT min(written_ms) FROM limits)
    AND epoch_ms(written_at) <= (SELECT max(written_ms) FROM limits)
"""
_BELONGS = """
LEFT JOIN homes h ON h.one_id = t.one_id LEFT JOIN limits l ON l.number = h.number
WHERE epoch_ms(t.written_at) <= coalesce(l.written_ms, (SELECT min(written_ms) FROM limits))
"""
_FIRED = f"""
SELECT {", ".join("n.one_id" if c.name == "one_id" else f't."{c.name}"' for c in TRIGGERS.columns)}, t.decided_at
FROM lake_triggers t LEFT JOIN nodes n ON n.ident = t.part {_BELONGS}
"""  # noqa: S608  our own names
_CHANGES = f"""
SELECT {", ".join(f'"{column.name}"' for column in IDENTITY_CHANGES.columns)}
FROM lake_identity_changes WHERE epoch_ms(written_at) <= getvariable('graph_ms') ORDER BY {CHANGE_ORDER}
"""  # noqa: S608  our own names
_TAG_CHANGES = f"""
SELECT {", ".join(f't."{column.name}"' for column in TAG_CHANGES.columns)}
FROM lake_tags t {_BELONGS} AND epoch_ms(t."at") <= getvariable('now_ms') ORDER BY t."at", t.one_id, t.tag, t.change
"""  # noqa: S608  our own names
# Commands of stewards stand on another topic, and say none of this.
_SURVEYS = """
SELECT n.one_id, coalesce(data->>'survey', data->>'ticket_id', data->>'conversation_id') AS survey,
    split_part(e.type, '.', 1) AS kind, (data->>'score')::DOUBLE AS score,
    CASE WHEN e.type = 'survey.answered' THEN coalesce((data->>'scale')::DOUBLE, 10) ELSE 5 END AS scale,
    e.time AS answered_at, e.event_id
FROM (
    SELECT *, data::JSON AS said FROM lake_events WHERE type IN ('survey.answered', 'ticket.rated', 'chat.rated')
) e JOIN counted c ON c."partition" = e."partition" AND c."offset" = e."offset" AND c.type = e.type
LEFT JOIN nodes n ON n.ident = e.part
ORDER BY answered_at, e.event_id
""".replace("data->>", "said->>")


class Limits(NamedTuple):
    """Up to where the tables count: by partition the offset of events, exclusive, and when its state was written."""

    events: Mapping[int, int]
    written_ms: Mapping[int, int]
    requests: int
    through_ms: int
    graph_ms: int


def limit(sources: Sources, limits: Limits, as_of_ms: int | None = None) -> None:
    """Say up to where the tables count.

    With `as_of_ms` events up to this time of theirs, whatever the stages had made of them; else what these had taken
    in.
    """
    sql = sources.sql
    sql.execute(_LIMITS)
    for number, end in limits.events.items():
        sql.execute("INSERT INTO limits VALUES (?, ?, ?)", [number, end, limits.written_ms[number]])
    sql.execute(_QUEUED)
    for name in ("requests", "through_ms", "graph_ms"):
        sql.execute(f"SET VARIABLE {name} = {getattr(limits, name)}::BIGINT")
    sql.execute(_REFUSED)
    sql.execute(_BELOW)
    if as_of_ms is None:
        for statement in (_MOVES, _BOUNCED, _KEPT):
            sql.execute(statement)
    else:
        sql.execute(f"SET VARIABLE as_of_ms = {as_of_ms}::BIGINT")
        sql.execute(_ALL_KEPT)


def last_event_ms(sources: Sources) -> int:
    """Return the time of the last event that counts, 0 if there is none."""
    [(last_ms,)] = sources.sql.execute("SELECT max(time_ms) FROM kept").fetchall()
    return int(last_ms or 0)


def leave_out(sources: Sources, queued: Iterable[tuple[str, int, int]]) -> None:
    """Say which messages, by their source, wait with frozen people and so are in no part yet."""
    rows = list(queued)
    if rows:
        sources.sql.executemany("INSERT INTO queued VALUES (?, ?, ?)", rows)


def count_events(sources: Sources) -> None:
    """Make the table `counted`: each event that counts, once."""
    sources.sql.execute(_SEVERAL)
    sources.sql.execute(_COUNTED)


def find_homes(sources: Sources, home: Callable[[str], int]) -> None:
    """Make the table `homes` of people whose partition matters; `home` gives it."""
    sql = sources.sql
    sql.execute("CREATE TABLE homes (one_id VARCHAR, number INTEGER)")
    rows = [(one_id, home(one_id)) for (one_id,) in sql.execute(_CLOSE).fetchall()]
    if rows:
        sql.register("found_homes", pa.Table.from_pylist([{"one_id": one_id, "number": n} for one_id, n in rows]))
        sql.execute("INSERT INTO homes FROM found_homes")


def write_events(sources: Sources, path: Path) -> dict[str, int]:
    """Write the table of events; return how many there are of each type."""
    sources.write(_EVENTS, path, EVENTS)
    return dict(sources.sql.execute("SELECT type, count(*) FROM counted GROUP BY type ORDER BY type").fetchall())


def odd_parts(sources: Sources) -> int:
    """Return in how many parts the state has another number of events than are counted; 0 unless something is wrong."""
    [(odd,)] = sources.sql.execute(_ODD).fetchall()
    return int(odd)


def write_triggers(
    sources: Sources, goals: Mapping[str, tuple[str, int]], events: Path, path: Path, fired: str = _FIRED
) -> int:
    """Write the table of triggers; return the number of rows.

    `fired` is a query with its columns but those of the goal, `events` the file of the events table, `goals` by rule
    the type of event and the ms within which it must come. The goal is met by the person's first such event after the
    firing, or after the time at which a person held out would have been sent it.
    """
    sql = sources.sql
    sql.execute("CREATE OR REPLACE TEMP TABLE goals (rule VARCHAR, type VARCHAR, within_ms BIGINT)")
    if goals:
        sql.executemany("INSERT INTO goals VALUES (?, ?, ?)", [(name, *goal) for name, goal in goals.items()])
    columns = ", ".join(f't."{column.name}"' for column in OUTCOMES.columns if column.name not in GOAL_COLUMNS)
    query = f"""
        WITH fired AS ({fired}),
        meant AS (
            SELECT trigger_id, outcome, one_id, fired_at, type, fired_at + to_milliseconds(within_ms) AS until
            FROM fired JOIN goals USING (rule) WHERE fired_at IS NOT NULL
        ), met AS (
            SELECT m.trigger_id, m.outcome, m.until AS goal_until, min(e.time) AS goal_at
            FROM meant m LEFT JOIN read_parquet({literal(str(events))}) e ON e.one_id = m.one_id AND e.type = m.type
                AND e.time > m.fired_at AND e.time <= m.until
            GROUP BY ALL
        )
        SELECT {columns}, met.goal_at, met.goal_until
        FROM fired t LEFT JOIN met ON met.trigger_id = t.trigger_id AND met.outcome = t.outcome
        ORDER BY coalesce(t.fired_at, t.due_at), t.due_at, t.rule, t.instance NULLS FIRST, t.trigger_id
    """  # noqa: S608  our own names and paths
    return sources.write(query, path, OUTCOMES)


def write_changes(sources: Sources, path: Path, query: str = _CHANGES) -> dict[str, int]:
    """Write the table of changes of people; return how many there are of each kind."""
    sources.write(query, path, IDENTITY_CHANGES)
    rows = sources.sql.execute("SELECT change, count(*) FROM read_parquet(?) GROUP BY change", [str(path)]).fetchall()
    return dict(rows)


def write_tag_changes(sources: Sources, now_ms: int, path: Path) -> None:
    """Write the table of tags entered and left up to `now_ms`."""
    sources.sql.execute(f"SET VARIABLE now_ms = {now_ms}::BIGINT")
    sources.write(_TAG_CHANGES, path, TAG_CHANGES)


def write_surveys(sources: Sources, path: Path) -> None:
    """Write the table of answers."""
    sources.write(_SURVEYS, path, SURVEYS)
