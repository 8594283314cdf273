"""`kith verify`: the live state of a cut of the lake against what its events say.

1. `_open`: a scratch database that sees the tables of the lake, the cut, and the raw facts below it.
2. People by whole-set clustering, compared with the graph.
3. For one range of OneIDs after the other: the live people as tables, profiles by SQL, and the two compared.
4. Who holds which part; triggers and changes of people by the batch engine, compared with what was recorded.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb
import msgspec

from identity.policy import Policy
from lake import catalogue
from lake.audit import expected, facts, people, profiles, state, triggers
from lake.audit.found import Found
from lake.audit.tables import BATCH_CHANGES, BATCH_TRIGGERS, LIVE_TABLES
from lake.catalogue import SETTLED_MS
from lake.database import literal
from lake.lake_tables import LAKE_TABLES
from lake.reading_lake import relation
from lake.store import LakeStore
from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.times import format_ms
from stream import audit_batch
from stream.audit_cut import Cut, find_cut
from stream.audit_live import LiveTables, under_way
from stream.replay import seldom_collected

Progress = Callable[[str, int, int], None]
Clock = Literal["live", "events"]

PEOPLE_AT_A_TIME = 100_000
"""People of a range: their profiles are in memory together as columns, their state one by one."""

SETTLE_MS = 5_000
"""A transaction's messages may have timestamps on both sides of the cut; none is open for longer than this for long."""

FOREIGN_MS = 600_000
"""A clock that is further from the time of day than this is that of a backfill."""

FOREVER_MS = 1 << 60


class Verdict(msgspec.Struct):
    """What came of an audit: the cut, what was compared and found."""

    as_of_ms: int
    offsets: dict[str, int]
    clock: Clock
    found: Found

    @property
    def clean(self) -> bool:
        """Whether there is no difference."""
        return not self.found.total


def verify(
    store: LakeStore,
    settings: Settings,
    at: dict[int, int] | None = None,
    clock: Clock | None = None,
    most: int | None = None,
    memory: str = "1GB",
    progress: Progress = lambda phase, done, total: None,
    scratch: Path | None = None,
) -> Verdict:
    """Compare everybody in the lake with the events; see `lake.audit.found` for what can be found.

    `at`: the offset in events.identified of each partition, None for the newest cut. `most`: differences to keep, all
    are counted. `clock`: None finds it out. Raises ConfigError if there is no such cut, or no lake.
    """
    with TemporaryDirectory(prefix="kith-verify-", dir=scratch) as folder, seldom_collected():
        audit = Audit(store, settings, Path(folder), memory, progress, most)
        try:
            return audit.run(at, clock)
        finally:
            audit.close()


class Audit:
    """One run over everybody."""

    def __init__(
        self, store: LakeStore, settings: Settings, folder: Path, memory: str, progress: Progress, most: int | None
    ) -> None:
        self._store = store
        self._settings = settings
        self._folder = folder
        self._progress = progress
        self._policy = Policy.from_settings(settings)
        self.found = Found(most)
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(folder / "spill"),
            "memory_limit": memory,
            "threads": 2,
        }
        self.connection = duckdb.connect(str(folder / "audit.duckdb"), config=config)
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET preserve_insertion_order = false")

    def close(self) -> None:
        """Close the scratch database."""
        self.connection.close()

    def run(self, at: dict[int, int] | None, clock: Clock | None) -> Verdict:
        """Do all of it."""
        cut = self._open(at)
        connection, found, policy = self.connection, self.found, self._policy
        self._progress("facts", 0, 1)
        facts.gather(connection, policy, cut.until_ms)
        self._progress("facts", 1, 1)
        by_events = self._by_events(clock)
        people.find_people(connection, policy, self._settings.space, self._progress)
        people.compare_graph(connection, found, cut.until_ms - SETTLE_MS)
        now_ms = self._now_ms(cut, by_events)
        self._busy()
        self._ranges(now_ms, by_events)
        state.compare_parts(connection, found)
        self._triggers(now_ms, by_events, cut)
        triggers.compare_changes(connection, found)
        return self._verdict(cut, now_ms, by_events)

    def _verdict(self, cut: Cut, now_ms: int, by_events: bool) -> Verdict:
        connection, found = self.connection, self.found
        [(events,)] = connection.execute("SELECT count(*) FROM facts").fetchall()
        found.compared["events"] += events
        [(busy,)] = connection.execute("SELECT count(DISTINCT one_id) FROM busy").fetchall()
        if busy:
            found.explained["people on the move at the cut"] += busy
        offsets = {f"events.identified/{partition}": offset for partition, offset in sorted(cut.inputs.items())}
        return Verdict(now_ms, offsets, "events" if by_events else "live", found)

    def _open(self, at: dict[int, int] | None) -> Cut:
        connection = self.connection
        listings = catalogue.read_all(self._store)
        if not listings:
            raise ConfigError(f"{self._store.url}: there is no lake here")
        for table in LAKE_TABLES:
            rows = relation(connection, self._store, listings, table).sql_query()
            connection.execute(f"CREATE OR REPLACE TEMP VIEW lake_{table.name} AS {rows}")
        cut = find_cut(connection, listings, at)
        connection.execute("CREATE TABLE inputs (partition INTEGER, input BIGINT)")
        connection.execute("CREATE TABLE state_ends (partition INTEGER, place BIGINT)")
        for partition, offset in cut.inputs.items():
            connection.execute("INSERT INTO inputs VALUES (?, ?)", [partition, offset])
            connection.execute("INSERT INTO state_ends VALUES (?, ?)", [partition, cut.state_ends[partition]])
        connection.execute("SET VARIABLE fresh = ?", [cut.until_ms - SETTLED_MS])
        sure_ms = FOREVER_MS if cut.sure_ms is None else cut.sure_ms
        connection.execute(f"CREATE MACRO sure(written) AS epoch_ms(written) <= {sure_ms}")
        return cut

    def _by_events(self, clock: Clock | None) -> bool:
        """Return whether the clock is that of a backfill: one was set, or decisions are far from their writing."""
        if clock is not None:
            return clock == "events"
        [(commands, foreign)] = self.connection.execute(
            "SELECT (SELECT count(*) FROM clocks), (SELECT count(*) FROM lake_triggers "
            "WHERE epoch_ms(written_at) - epoch_ms(decided_at) > ?)",
            [FOREIGN_MS],
        ).fetchall()
        return bool(commands or foreign)

    def _now_ms(self, cut: Cut, by_events: bool) -> int:
        """Return the instant that profiles are compared as of."""
        if not by_events:
            return cut.until_ms
        [(clock, last)] = self.connection.execute(
            "SELECT (SELECT max(to_ms) FROM clocks JOIN inputs USING (partition) WHERE place < input), max(ms) "
            "FROM facts"
        ).fetchall()
        return max(clock or 0, last or 0)

    def _busy(self) -> None:
        """Make the table of people who are on the move at the cut, with all who take part in it."""
        connection = self.connection
        connection.execute("CREATE OR REPLACE TABLE busy (one_id VARCHAR)")
        connection.execute("CREATE OR REPLACE TABLE held (part VARCHAR, one_id VARCHAR, events BIGINT, written BIGINT)")
        connection.execute(
            "INSERT INTO busy SELECT unnest([giver, taker, o.one_id]) FROM moves m JOIN inputs i USING (partition) "
            "LEFT JOIN owners o ON o.ident = m.part WHERE m.place >= i.input"
        )
        for part in under_way(connection):
            connection.execute("INSERT INTO busy SELECT one_id FROM owners WHERE ident = ?", [part])
        connection.execute("DELETE FROM busy WHERE one_id IS NULL")

    def _ranges(self, now_ms: int, by_events: bool) -> None:
        connection, settings = self.connection, self._settings
        expected.prepare(connection, settings, now_ms)
        live = LiveTables(connection, settings, now_ms)
        connection.execute(triggers.DECIDED)
        connection.execute(state.MINE)
        [(total,)] = connection.execute("SELECT count(DISTINCT one_id) FROM owners").fetchall()
        for low, high in ranges(-(-total // PEOPLE_AT_A_TIME) or 1):
            connection.execute("SET VARIABLE low = ?", [low])
            connection.execute("SET VARIABLE high = ?", [high])
            connection.execute(state.PUBLISHED)
            live.write(self._folder, low, high)
            for table in LIVE_TABLES:
                self._read(table.name)
            connection.execute("INSERT INTO busy SELECT one_id FROM live_people WHERE NOT at_rest")
            connection.execute(
                "INSERT INTO held SELECT part, one_id, events, written_ms FROM live_parts "
                "JOIN live_people USING (one_id)"
            )
            for statement in state.RANGE:
                connection.execute(statement)
            expected.fill(connection)
            profiles.compare(connection, self.found)
            state.compare_sightings(connection, self.found)
            state.compare_marks(connection, self.found)
            state.compare_published(connection, self.found, by_events)
            self._progress("profiles", live.people, total)
        self._progress("profiles", live.people, live.people)

    def _triggers(self, now_ms: int, by_events: bool, cut: Cut) -> None:
        connection = self.connection
        until_ms: int | None = now_ms
        if by_events:
            [(until_ms,)] = connection.execute(
                "SELECT max(to_ms) FROM clocks JOIN inputs USING (partition) WHERE place < input"
            ).fetchall()
        audit_batch.run(connection, self._settings, self._folder, until_ms, self._progress)
        for table in (BATCH_TRIGGERS, BATCH_CHANGES):
            self._read(table.name)
        triggers.group(connection)
        triggers.compare(connection, self.found, by_events, now_ms)

    def _read(self, name: str) -> None:
        """Let a file of the scratch folder be a table of its name."""
        file = literal(str(self._folder / f"{name}.parquet"))
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM read_parquet({file})")  # noqa: S608


def ranges(count: int) -> list[tuple[str, str]]:
    """Return (low, high) of so many ranges of OneIDs, which are hexadecimal and evenly spread; at most 4096."""
    count = min(count, 4096)
    cuts = [f"{number * 4096 // count:03x}" for number in range(1, count)]
    return list(zip(["0", *cuts], [*cuts, "g"], strict=True))


def heading(verdict: Verdict) -> list[str]:
    """Return in words what was compared, up to where."""
    compared = ", ".join(f"{count:,} {what}" for what, count in sorted(verdict.found.compared.items()))
    lines = [f"compared {compared}", f"as of {format_ms(verdict.as_of_ms)}, by the {verdict.clock} clock"]
    lines.append("up to " + ", ".join(f"{place}:{offset}" for place, offset in verdict.offsets.items()))
    lines += [f"no difference: {count:,} {what}" for what, count in sorted(verdict.found.explained.items())]
    return lines


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict for machines."""
    found = verdict.found
    return {
        "clean": verdict.clean,
        "as_of": format_ms(verdict.as_of_ms),
        "clock": verdict.clock,
        "offsets": verdict.offsets,
        "compared": dict(sorted(found.compared.items())),
        "no_difference": dict(sorted(found.explained.items())),
        "differences": dict(sorted(found.counts.items())),
        "found": [msgspec.structs.asdict(each) for each in found.kept],
    }
