"""The raw facts of the lake as the audit uses them: which events count, and what they are evidence of.

Views `lake_TABLE` show the lake's tables; the table `inputs` (partition, input) says of each partition of
events.identified how far the profile stage had read it. Left are, among others:

- `arrivals`: a row per message with an event of a person, and whether the stage took it in. It did if the last change
  of owners that this partition had read before gave the part to the person it is addressed to; else it was sent back.
- `facts`: each event that counts, once: taken in, not refused afterwards, the first of its id within its part.
- `seen`, `edges`, `commands`: the evidence of all events, also of those that were refused later.
"""

import duckdb

from identity.policy import Policy

MOVES = """
CREATE OR REPLACE TABLE moves AS
SELECT partition, "offset" AS place, epoch_ms(written_at) AS written, m.part AS part, m.from_one_id AS giver,
    m.to_one_id AS taker, at_ms
FROM (
    SELECT partition, "offset", written_at, (decode(value)::JSON->>'at_ms')::BIGINT AS at_ms, unnest(from_json(
        decode(value)::JSON->'moves', '[{"part":"VARCHAR","from_one_id":"VARCHAR","to_one_id":"VARCHAR"}]'
    )) AS m
    FROM lake_commands WHERE kind = 'change'
)
"""

CLOCKS = """
CREATE OR REPLACE TABLE clocks AS
SELECT partition, "offset" AS place, epoch_ms(written_at) AS written,
    (decode(value)::JSON->>'to_ms')::BIGINT AS to_ms
FROM lake_commands WHERE kind = 'clock'
"""

ARRIVALS = """
CREATE OR REPLACE TABLE arrivals AS
SELECT e.event_id, e.part, e.one_id AS addressee, epoch_ms(e.time) AS ms, e.partition, e."offset" AS place,
    epoch_ms(e.written_at) AS written, epoch_ms(e.arrived_at) AS arrived,
    e.source_topic, e.source_partition, e.source_offset,
    m.taker IS NOT DISTINCT FROM e.one_id AND e."offset" < coalesce(i.input, 0) AS taken
FROM (SELECT * FROM lake_events WHERE part IS NOT NULL) e
ASOF LEFT JOIN moves m ON m.part = e.part AND m.partition = e.partition AND m.place < e."offset"
LEFT JOIN inputs i ON i.partition = e.partition
"""

# Without the changes of owners: the last message that carries what was published is the one that was taken in.
ARRIVALS_ALONE = """
CREATE OR REPLACE TABLE arrivals AS
SELECT e.event_id, e.part, e.one_id AS addressee, epoch_ms(e.time) AS ms, e.partition, e."offset" AS place,
    epoch_ms(e.written_at) AS written, epoch_ms(e.arrived_at) AS arrived,
    e.source_topic, e.source_partition, e.source_offset,
    e."offset" < coalesce(i.input, 0) AND row_number() OVER (
        PARTITION BY e.part, e.event_id, e.source_topic, e.source_partition, e.source_offset
        ORDER BY e.written_at DESC, e.partition DESC, e."offset" DESC
    ) = 1 AS taken
FROM (SELECT * FROM lake_events WHERE part IS NOT NULL) e LEFT JOIN inputs i ON i.partition = e.partition
"""

FACTS = """
CREATE OR REPLACE TABLE facts AS
WITH kept AS (
    SELECT a.* FROM arrivals a
    ANTI JOIN lake_deadletters d USING (source_topic, source_partition, source_offset)
    WHERE a.taken
), first AS (
    SELECT part, event_id, min(ROW(written, partition, place)) AS came FROM kept GROUP BY part, event_id
)
SELECT e.part, e.event_id, e.type, epoch_ms(e.time) AS ms, e.identifiers AS idents, e.data::JSON AS data,
    came[1] AS written, came[2] AS partition, came[3] AS place, epoch_ms(e.arrived_at) AS arrived
FROM first f JOIN lake_events e ON e.partition = came[2] AND e."offset" = came[3] AND e.part = f.part
"""

EVIDENCE = (
    """
CREATE OR REPLACE TABLE witnessed AS
SELECT event_id, epoch_ms(time) AS ms, type, part, identifiers AS idents, data, epoch_ms(written_at) AS written
FROM lake_events WHERE epoch_ms(written_at) <= getvariable('until')
""",
    """
CREATE OR REPLACE TABLE seen_ids AS
SELECT ident, k[1] AS ms, k[2] AS event_id, ident IN (SELECT part FROM witnessed WHERE part IS NOT NULL) AS first
FROM (
    SELECT ident, min(ROW(ms, event_id)) AS k FROM (
        SELECT unnest(idents) AS ident, ms, event_id FROM witnessed WHERE part IS NOT NULL
    ) GROUP BY ident
)
""",
    """
CREATE OR REPLACE TABLE edges AS
WITH pairs AS (
    SELECT part AS a, unnest(idents[2:]) AS b, ms, event_id FROM witnessed WHERE part IS NOT NULL AND len(idents) > 1
), ordered AS (SELECT lower_end(a, b) AS lo, higher_end(a, b) AS hi, ms, event_id FROM pairs WHERE a <> b)
SELECT lo, hi, k[1] AS ms, k[2] AS event_id
FROM (SELECT lo, hi, min(ROW(ms, event_id)) AS k FROM ordered GROUP BY lo, hi)
""",
    """
CREATE OR REPLACE TABLE commands AS
WITH said AS (
    SELECT data::JSON->>'a' AS a, data::JSON->>'b' AS b, ms, event_id,
        CASE WHEN type = 'customer.linked' THEN 'link' ELSE 'unlink' END AS kind
    FROM witnessed WHERE part IS NULL AND type IN ('customer.linked', 'customer.unlinked')
), ordered AS (SELECT lower_end(a, b) AS lo, higher_end(a, b) AS hi, ms, event_id, kind FROM said)
SELECT lo, hi, k[1] AS ms, k[2] AS event_id, k[3] AS kind
FROM (SELECT lo, hi, max(ROW(ms, event_id, kind)) AS k FROM ordered GROUP BY lo, hi)
""",
)

ENDS = (
    """
CREATE OR REPLACE TEMP MACRO is_lower(a, b) AS
    list_position(getvariable('kinds'), split_part(a, ':', 1))
        < list_position(getvariable('kinds'), split_part(b, ':', 1))
    OR (split_part(a, ':', 1) = split_part(b, ':', 1) AND a < b)
""",
    "CREATE OR REPLACE TEMP MACRO lower_end(a, b) AS CASE WHEN is_lower(a, b) THEN a ELSE b END",
    "CREATE OR REPLACE TEMP MACRO higher_end(a, b) AS CASE WHEN is_lower(a, b) THEN b ELSE a END",
)


def gather(connection: duckdb.DuckDBPyConnection, policy: Policy, until_ms: int, alone: bool = False) -> None:
    """Make the tables of the module's docstring; evidence is what was written up to `until_ms`.

    `alone`: the changes of owners are not at hand, only the events of some people.
    """
    connection.execute("SET VARIABLE kinds = ?", [list(policy.kinds)])
    connection.execute("SET VARIABLE until = ?", [until_ms])
    for statement in (MOVES, CLOCKS, ARRIVALS_ALONE if alone else ARRIVALS, FACTS, *ENDS, *EVIDENCE, BOUNDED):
        connection.execute(statement)


BOUNDED = """
CREATE OR REPLACE TABLE unbounded_parts AS
SELECT part, 'carts' AS what FROM facts WHERE type IN ('cart.added', 'cart.removed')
GROUP BY part, data->>'cart_id', data->>'sku' HAVING count(*) > 128
UNION
SELECT part, 'carts' FROM facts WHERE starts_with(type, 'cart.')
GROUP BY part HAVING count(DISTINCT data->>'cart_id') > 999 OR count(DISTINCT (data->>'cart_id', data->>'sku')) > 1999
UNION
SELECT part, 'talks' FROM facts WHERE starts_with(type, 'chat.')
GROUP BY part HAVING count(DISTINCT data->>'conversation_id') > 100
UNION
SELECT part, 'checkins' FROM facts WHERE type = 'customer.checked_in'
GROUP BY part HAVING count(DISTINCT ms // 900000) > 500
"""
"""Parts that hear more than they keep (docs/profiles.md, `Parts`): what rests on it is not compared."""
