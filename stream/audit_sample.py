"""`kith verify --sample`: some people only, for production, where nobody wants to read everything every hour.

Picked are neighbours in the order of OneIDs, which says nothing about them, and so their rows lie together in the
lake's files. Read are their state, what was published of them, and the events addressed to them or to anybody they were
ever one with. Who holds which part is taken from the graph; the batch engine judges triggers of those who were never
anybody else and share no identifier with others.
"""

import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from lake.audit import facts
from lake.store import LakeStore
from schemas.settings import Settings
from stream.audit import Audit, Clock, Progress, Verdict

GRAIN = 16**6
"""Places in the order of OneIDs at which the people picked may begin."""

RECENT_MS = 60_000
"""People who became others so shortly before the cut are left for the next time."""

_LINKED = """
CREATE OR REPLACE TABLE akin AS
WITH RECURSIVE links AS (
    SELECT one_id AS a, other_one_id AS b FROM lake_identity_changes
    WHERE change IN ('merged', 'split') AND other_one_id IS NOT NULL
), both_ways AS (SELECT a, b FROM links UNION SELECT b, a FROM links),
reached(one_id, other) AS (
    SELECT one_id, one_id FROM picked
    UNION
    SELECT r.one_id, l.b FROM reached r JOIN both_ways l ON l.a = r.other
)
SELECT * FROM reached
"""

_NARROWED = {
    "events": "one_id IN (SELECT other FROM akin)",
    "triggers": "one_id IN (SELECT other FROM akin)",
    "profiles": "one_id IN (SELECT one_id FROM picked)",
    "tags": "one_id IN (SELECT one_id FROM picked)",
    "identity_changes": "one_id IN (SELECT other FROM akin)",
    "commands": "kind = 'clock'",
    "state": "key IN (SELECT encode(one_id) FROM picked) OR key < encode('0')",
}

# The people as the graph has them; of those who were never anybody else, what the batch engine may judge.
_OWNERS = (
    """
CREATE OR REPLACE TABLE graph_nodes AS
SELECT decode(key) AS ident, arg_max(decode(value)::JSON->>'one_id', "offset") AS one_id
FROM lake_graph WHERE value IS NOT NULL AND key IN (SELECT encode(ident) FROM seen_ids) GROUP BY key
""",
    """
CREATE OR REPLACE TABLE owners AS
SELECT ident, one_id, (hash(one_id) % 1048576)::BIGINT AS component
FROM graph_nodes WHERE one_id IN (SELECT one_id FROM picked)
""",
    """
CREATE OR REPLACE TABLE alone AS
SELECT one_id FROM akin GROUP BY one_id HAVING count(*) = 1
EXCEPT
SELECT o.one_id FROM facts f JOIN owners o ON o.ident = f.part, unnest(f.idents) AS i(ident)
LEFT JOIN graph_nodes g ON g.ident = i.ident WHERE g.one_id IS DISTINCT FROM o.one_id
""",
    "CREATE OR REPLACE TABLE components AS "
    "SELECT ident, component FROM owners WHERE one_id IN (SELECT one_id FROM alone)",
)


def verify_some(
    store: LakeStore,
    settings: Settings,
    count: int,
    seed: str | None = None,
    clock: Clock | None = None,
    most: int | None = None,
    memory: str = "1GB",
    progress: Progress = lambda phase, done, total: None,
) -> Verdict:
    """Compare so many people with their events. Raises as `verify` does."""
    with TemporaryDirectory(prefix="kith-verify-") as folder:
        audit = _Sample(store, settings, Path(folder), memory, progress, most)
        try:
            return audit.run_some(count, seed or secrets.token_hex(8), clock)
        finally:
            audit.close()


class _Sample(Audit):
    """One run over some people."""

    def run_some(self, count: int, seed: str, clock: Clock | None) -> Verdict:
        """Do all of it."""
        cut = self._open(None)
        connection = self.connection
        self._pick(count, seed)
        connection.execute(_LINKED)
        for table, where in _NARROWED.items():
            connection.execute(f"CREATE TABLE some_{table} AS SELECT * FROM lake_{table} WHERE {where}")  # noqa: S608
            connection.execute(f"CREATE OR REPLACE TEMP VIEW lake_{table} AS FROM some_{table}")
        facts.gather(connection, self._policy, cut.until_ms, alone=True)
        for statement in _OWNERS:
            connection.execute(statement)
        by_events = self._by_events(clock)
        now_ms = self._now_ms(cut, by_events)
        self._busy()
        if cut.sure_ms is not None:  # the pipeline is at work
            connection.execute(
                "INSERT INTO busy SELECT a.one_id FROM akin a JOIN lake_identity_changes c ON c.one_id = a.other "
                "WHERE epoch_ms(c.written_at) > ?",
                [cut.until_ms - RECENT_MS],
            )
        self._ranges(now_ms, by_events)
        self._triggers(now_ms, by_events, cut)
        return self._verdict(cut, now_ms, by_events)

    def _pick(self, count: int, seed: str) -> None:
        """Make the table `picked`: at most `count` people whose OneIDs follow a place that the seed says."""
        connection = self.connection
        start = int.from_bytes(sha256(seed.encode()).digest()[:8], "big") % GRAIN
        width = max(1, GRAIN // 4096)
        query: Callable[[str, str], str] = lambda low, high: (  # noqa: E731
            f"SELECT one_id FROM lake_profiles WHERE one_id >= '{low}' AND one_id < '{high}' "  # noqa: S608
            f'GROUP BY one_id HAVING NOT arg_max(gone, "offset") ORDER BY one_id LIMIT {count}'
        )
        while True:
            low, high = f"{start:06x}", f"{start + width:06x}" if start + width < GRAIN else "g"
            rows = connection.execute(query(low, high)).fetchall()
            if len(rows) >= count or (start == 0 and high == "g"):
                break
            if high == "g":
                start = 0  # too few behind it: from the beginning
            width *= 8
        connection.execute("CREATE OR REPLACE TABLE picked (one_id VARCHAR)")
        if rows:
            connection.executemany("INSERT INTO picked VALUES (?)", rows)
