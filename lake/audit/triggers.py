"""Recorded decisions of triggers against those of the batch engine, and which differences are none.

Live, a late event never recalls a firing (docs/triggers.md). So a difference is explained if an event of these people
was late across the decision: it happened before it (`from_ms`), and was worked off when the clock had already come
further (`to_ms`). A cap is counted over what fired before, so a decision by a cap is explained if anything was late.
An instance, such as a person's birthday of one year, is decided once: if that was for another anchor across a late
event, then it is not decided for its own one any more. And an anchor makes one instance: a late view of products, seen
when the person's time zone was another, belongs to another day, where it takes the place of that day's own first one.
"""

from collections.abc import Iterable

import duckdb

from lake.audit.found import Found

DELAY_MS = 60_000
"""Live decisions may come this much later than what they follow from: the clock of the live mode is a watermark."""

LINKED = """
CREATE OR REPLACE TABLE linked AS
SELECT one_id AS a, other_one_id AS b FROM lake_identity_changes WHERE change IN ('merged', 'split')
UNION SELECT one_id, other_one_id FROM batch_changes WHERE change IN ('merged', 'split')
UNION
SELECT c.one_id, o.one_id FROM (
    SELECT one_id, evidence_event_id AS event_id FROM lake_identity_changes WHERE change IN ('merged', 'split')
    UNION SELECT one_id, event_id FROM batch_changes WHERE change IN ('merged', 'split')
) c JOIN (
    SELECT event_id, part AS ident FROM witnessed WHERE part IS NOT NULL UNION SELECT event_id, ident FROM steward
) w USING (event_id) JOIN owners o USING (ident)
"""

# A steward's commands concern both ends. They are addressed to nobody: only the time of writing tells when they came.
STEWARD = """
CREATE OR REPLACE TABLE steward AS
SELECT event_id, ms, written, unnest([data::JSON->>'a', data::JSON->>'b']) AS ident FROM witnessed WHERE part IS NULL
"""

# When each event came, and how far the clock of its people was then: by their events, by commands of the clock, by
# changes of owners, which carry the time of their evidence and can be late like it. Partitions are read at different
# speeds: within one its order counts, between two the time of writing. A steward's command is read by the resolver,
# elsewhere; what it changes comes later still.
LATE = (
    """
CREATE OR REPLACE TABLE came AS
WITH every AS (
    SELECT o.one_id, a.ms, a.partition, a.place, a.written, a.arrived, true AS late
    FROM (
        SELECT * FROM arrivals WHERE taken
        QUALIFY row_number() OVER (PARTITION BY part, event_id ORDER BY written, partition, place) = 1
    ) a JOIN owners o ON o.ident = a.part
    UNION ALL
    SELECT DISTINCT unnest([giver, taker]), at_ms, partition, place, written, NULL, giver IS NOT NULL FROM moves
    UNION ALL
    SELECT DISTINCT o.one_id, s.ms, -1, 0, s.written, NULL, true FROM steward s JOIN owners o USING (ident)
)
SELECT coalesce(g.root, e.one_id) AS who, e.* EXCLUDE (one_id)
FROM every e LEFT JOIN roots g ON g.one_id = e.one_id WHERE e.one_id IS NOT NULL
""",
    """
CREATE OR REPLACE TABLE late AS
WITH clocked AS (
    SELECT c.*, k.ahead AS clock_ms FROM came c
    ASOF LEFT JOIN (
        SELECT partition, place, max(to_ms) OVER (PARTITION BY partition ORDER BY place) AS ahead FROM clocks
    ) k ON k.partition = c.partition AND k.place < c.place
), ordered AS (
    SELECT who, ms, late, greatest(
        clock_ms,
        max(ms) OVER (PARTITION BY who, partition ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        max(ms) OVER (PARTITION BY who ORDER BY written RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        CASE WHEN partition = -1 THEN (SELECT max(to_ms) FROM clocks k WHERE k.written < clocked.written) END,
        CASE WHEN getvariable('by_events') THEN NULL ELSE arrived END
    ) AS ahead
    FROM clocked
)
SELECT who, ms AS from_ms, ahead AS to_ms FROM ordered WHERE late AND ahead > ms
""",
)

DECIDED = """
CREATE OR REPLACE TABLE decided_triggers AS
SELECT *, sure(written_at) AS sure FROM lake_triggers
"""

_TWICE = """
SELECT any_value(one_id), rule, trigger_id, list(outcome || ' at ' || epoch_ms(decided_at) ORDER BY written_at),
    any_value(anchor_event_id)
FROM decided_triggers GROUP BY rule, trigger_id HAVING count(*) > 1 ORDER BY 1, 2, 3
"""

_JUDGED = """
WITH RECURSIVE live AS (
    SELECT trigger_id, rule, instance, part, one_id, outcome, reason, epoch_ms(decided_at) AS decided,
        epoch_ms(due_at) AS due, epoch_ms(anchor_at) AS anchor, anchor_event_id, payload, rule_version, sure
    FROM decided_triggers WHERE part IN (SELECT ident FROM components)
    QUALIFY row_number() OVER (PARTITION BY trigger_id ORDER BY written_at, "offset") = 1
), batch AS (
    SELECT trigger_id, rule, instance, part, one_id, outcome, reason, decided_ms AS decided, due_ms AS due,
        anchor_ms AS anchor, anchor_event_id, payload, rule_version
    FROM batch_triggers
), paired AS (
    SELECT coalesce(b.rule, l.rule) AS rule, coalesce(b.trigger_id, l.trigger_id) AS trigger_id,
        coalesce(b.part, l.part) AS part, coalesce(b.anchor_event_id, l.anchor_event_id) AS anchor_event_id,
        l.outcome AS live_outcome, b.outcome AS outcome, l.reason AS live_reason, b.reason AS reason,
        l.decided AS live_decided, b.decided AS decided, l.due AS live_due, b.due AS due,
        coalesce(l.sure, h.written <= getvariable('fresh')) AS sure,
        CASE
            WHEN l.trigger_id IS NULL THEN 'missing'
            WHEN b.trigger_id IS NULL THEN 'groundless'
            WHEN l.outcome <> b.outcome OR l.reason IS DISTINCT FROM b.reason THEN 'outcome'
            WHEN l.part <> b.part THEN 'part'
            WHEN l.anchor <> b.anchor THEN 'anchor'
            WHEN l.due <> b.due THEN 'due'
            WHEN l.decided < l.due THEN 'early'
            WHEN getvariable('by_events') AND l.decided <> b.decided THEN 'decided'
            WHEN NOT getvariable('by_events') AND l.decided - b.decided > {delay} THEN 'delayed'
            WHEN getvariable('by_events') AND l.payload <> b.payload THEN 'payload'
        END AS what,
        coalesce(b.instance, l.instance) AS instance
    FROM batch b FULL JOIN live l ON l.trigger_id = b.trigger_id
    LEFT JOIN held h ON h.part = coalesce(b.part, l.part)
), judged AS (
    SELECT o.one_id, p.*, coalesce(g.root, o.one_id) AS who,
        EXISTS (
            FROM late t WHERE t.who = coalesce(g.root, o.one_id)
                AND t.from_ms <= greatest(live_decided, decided) AND t.to_ms >= least(live_decided, decided)
        ) AS across,
        EXISTS (FROM late t WHERE t.who = coalesce(g.root, o.one_id)) AS ever
    FROM paired p LEFT JOIN owners o ON o.ident = p.part LEFT JOIN roots g ON g.one_id = o.one_id
    WHERE what IS NOT NULL
), placed AS (
    SELECT who, rule, trigger_id, instance, anchor_event_id, what FROM judged WHERE what IN ('missing', 'groundless')
), displaced AS (
    SELECT p.* FROM placed p JOIN judged j USING (who, rule, trigger_id, what) WHERE j.across
    UNION
    SELECT p.* FROM placed p JOIN displaced d ON p.who = d.who AND p.rule = d.rule AND p.what <> d.what
        AND (p.instance = d.instance OR p.anchor_event_id = d.anchor_event_id)
)
SELECT j.*, EXISTS (
    FROM displaced d WHERE d.who = j.who AND d.rule = j.rule AND d.trigger_id = j.trigger_id AND d.what = j.what
) AS instead
FROM judged j WHERE coalesce(one_id, '') NOT IN (SELECT one_id FROM busy)
ORDER BY 1, 2, 3
"""


def group(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `roots` (one_id, root): people who were ever one, over any number of steps, have one root."""
    connection.execute(STEWARD)
    connection.execute(LINKED)
    roots = _roots(connection.execute("SELECT a, b FROM linked WHERE b IS NOT NULL").fetchall())
    connection.execute("CREATE OR REPLACE TABLE roots (one_id VARCHAR, root VARCHAR)")
    if roots:
        connection.executemany("INSERT INTO roots VALUES (?, ?)", roots)


def compare(connection: duckdb.DuckDBPyConnection, found: Found, by_events: bool, until_ms: int) -> None:
    """Compare the decisions in the lake with `batch_triggers`.

    `by_events`: the clock is that of a backfill, so that times must be equal. `until_ms`: how far the live clock had
    come; what was due shortly before it may be on its way.
    """
    connection.execute("SET VARIABLE by_events = ?", [by_events])
    for statement in LATE:
        connection.execute(statement)
    for one_id, rule, trigger_id, decisions, anchor in connection.execute(_TWICE).fetchall():
        found.add("trigger_twice", one_id, f"{rule} {trigger_id}", ", ".join(decisions), decisions[0], [anchor])
    [(count,)] = connection.execute("SELECT count(DISTINCT trigger_id) FROM decided_triggers").fetchall()
    found.compared["triggers"] += count
    delayed: set[str] = set()
    late: list[tuple[object, ...]] = []
    for row in connection.execute(_JUDGED.format(delay=DELAY_MS)).fetchall():
        who, what = row[-4], row[13]
        if what == "delayed":
            delayed.add(who)
            found.explained["triggers decided later than due, by the live clock"] += 1
        else:
            late.append(row)
    for row in late:
        reason = _explained(row, delayed, by_events, until_ms)
        if reason is not None:
            found.explained[reason] += 1
        else:
            _report(found, row)


def _explained(row: tuple[object, ...], delayed: set[str], by_events: bool, until_ms: int) -> str | None:
    """Return why a difference is none, None if it is one."""
    *_, live_reason, reason, live_decided, decided, _, _, sure, what, _, who, across, ever, instead = row
    if across or instead:
        return "triggers across a late event"
    if ever and "cap" in (live_reason, reason):
        return "triggers under a cap after a late event"
    if sure is not None and not sure:
        return "triggers decided at the cut"
    if not by_events:
        if what == "missing" and isinstance(decided, int) and decided > until_ms - DELAY_MS:
            return "triggers decided at the cut"
        shift = live_decided - decided if isinstance(live_decided, int) and isinstance(decided, int) else 0
        if shift > DELAY_MS or (who in delayed and "cap" in (live_reason, reason)):
            return "triggers decided later than due, by the live clock"
    return None


def _report(found: Found, row: tuple[object, ...]) -> None:
    one_id, rule, trigger_id, _, anchor, live_outcome, outcome, live_reason, reason, *rest = row
    live_decided, decided, live_due, due, _, what = rest[:6]
    kind = {"missing": "trigger_missing", "groundless": "trigger_groundless"}.get(str(what), "trigger_outcome")
    live = None if live_outcome is None else _said(live_outcome, live_reason, live_due, live_decided)
    expected = None if outcome is None else _said(outcome, reason, due, decided)
    field = f"{rule} {trigger_id}" if kind != "trigger_outcome" else f"{rule} {trigger_id} {what}"
    found.add(kind, None if one_id is None else str(one_id), field, live, expected, [str(anchor)])


def _said(outcome: object, reason: object, due: object, decided: object) -> str:
    return f"{outcome}{f' ({reason})' if reason else ''}, due {due}, decided {decided}"


_CHANGES = """
WITH live AS (
    SELECT epoch_ms("at") AS ms, change, one_id, other_one_id, reason, evidence_event_id AS event_id, count(*) AS times
    FROM lake_identity_changes WHERE epoch_ms(written_at) <= getvariable('until') GROUP BY ALL
), batch AS (SELECT at_ms AS ms, change, one_id, other_one_id, reason, event_id, count(*) AS times FROM batch_changes
    GROUP BY ALL)
SELECT coalesce(l.one_id, b.one_id) AS one_id, coalesce(l.change, b.change), coalesce(l.other_one_id, b.other_one_id),
    coalesce(l.reason, b.reason), coalesce(l.event_id, b.event_id), coalesce(l.times, 0), coalesce(b.times, 0),
    o.component IN (SELECT component FROM disordered) OR o.component IN (SELECT component FROM unsettled)
FROM live l FULL JOIN batch b ON l.ms = b.ms AND l.change = b.change AND l.one_id = b.one_id
    AND l.other_one_id IS NOT DISTINCT FROM b.other_one_id AND l.reason IS NOT DISTINCT FROM b.reason
    AND l.event_id = b.event_id
LEFT JOIN (
    SELECT w.event_id, any_value(c.component) AS component
    FROM witnessed w JOIN components c ON c.ident = coalesce(w.part, w.data::JSON->>'a') GROUP BY w.event_id
) o ON o.event_id = coalesce(l.event_id, b.event_id)
WHERE l.times IS DISTINCT FROM b.times ORDER BY 1, 2, 3
"""

# Groups of identifiers whose evidence came to the resolver in another order than that of its times.
_DISORDERED = """
CREATE OR REPLACE TABLE disordered AS
SELECT DISTINCT component FROM (
    SELECT component, ms, event_id, max(ROW(ms, event_id)) OVER (
        PARTITION BY component ORDER BY written RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before, max(ROW(ms, event_id)) OVER (PARTITION BY component, written) AS beside, ROW(ms, event_id) AS own
    FROM (
        SELECT c.component, w.ms, w.event_id, min(w.written) AS written
        FROM witnessed w JOIN components c ON c.ident = coalesce(w.part, w.data::JSON->>'a') GROUP BY ALL
    )
) WHERE before > own OR beside <> own
"""


# Every OneID that was ever given is a person today, or was absorbed by one, which was announced.
_ABSORBED = """
SELECT o.one_id, decode(g.key)[8:] AS former, o.ident FROM (
    SELECT key, arg_max({'value': value}, "offset").value AS value FROM lake_graph
    WHERE starts_with(decode(key), chr(0) || 'alias' || chr(0)) AND epoch_ms(written_at) <= getvariable('until')
    GROUP BY key
) g LEFT JOIN owners o ON o.ident = decode(g.value)::JSON->>'ident'
LEFT JOIN components c ON c.ident = o.ident
WHERE decode(g.key)[8:] NOT IN (SELECT one_id FROM owners) AND decode(g.key)[8:] NOT IN (
    SELECT other_one_id FROM lake_identity_changes WHERE change = 'merged'
) AND coalesce(c.component, -1) NOT IN (SELECT component FROM unsettled)
ORDER BY 1, 2
"""


def compare_changes(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Compare the changes of people that were announced with those of the batch engine.

    They depend on the order of the evidence: where it came in another order than that of its times, other changes lead
    to the same people, and only that none is announced twice is looked at.
    """
    connection.execute(_DISORDERED)
    [(count,)] = connection.execute("SELECT count(*) FROM lake_identity_changes").fetchall()
    found.compared["identity changes"] += count
    told: set[tuple[object, object]] = set()
    for one_id, change, other, reason, event_id, live, expected, disordered in connection.execute(_CHANGES).fetchall():
        if disordered and (live <= 1 or change == "refused"):
            found.explained["identity changes of evidence out of order"] += 1
        else:
            what = " ".join(filter(None, (change, other, reason)))
            found.add("identity_change", one_id, what, f"{live} times", f"{expected} times", [event_id])
            told.add((one_id, other))
    for one_id, former, ident in connection.execute(_ABSORBED).fetchall():
        if (one_id, former) not in told:
            found.add("identity_change", one_id, f"merged {former}", "not announced", f"{ident} is of {one_id}")


def _roots(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for one, other in pairs:
        root[find(one)] = find(other)
    return [(name, find(name)) for name in root]
