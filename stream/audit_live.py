"""The live state at a cut, as tables for the audit: who holds which part, profiles, marks.

People are read by ranges of their OneIDs, so that only some of them are in memory at a time; the lake's files of state
are sorted by key, so that each range reads its own part of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from lake.audit.tables import LIVE_TABLES
from lake.writer import TableWriter
from profiles import part as parts
from profiles.derive import deriver
from schemas.mark import EXPIRED, OUTCOMES
from schemas.settings import Settings
from stream.exported_people import INBOX, parts_in
from stream.person import Person, thaw
from triggers.engine import trigger_id

_NEWEST = """
WITH newest AS (
    SELECT partition, key, max("offset") AS place FROM lake_state s JOIN state_ends e USING (partition)
    WHERE s."offset" < e.place AND key >= encode(?) AND key < encode(?) GROUP BY ALL
)
SELECT decode(s.key), s.value, epoch_ms(s.written_at)
FROM newest n JOIN lake_state s ON s.partition = n.partition AND s."offset" = n.place
WHERE s.key >= encode(?) AND s.key < encode(?) AND s.value IS NOT NULL ORDER BY s.key
"""


class LiveTables:
    """Writes the tables `LIVE_TABLES` of the people of one range into a folder, as Parquet files of their names.

    `now_ms`: the instant that profiles are derived for.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings, now_ms: int) -> None:
        self._connection = connection
        self._settings = settings
        self._now_ms = now_ms
        self.people = 0

    def write(self, folder: Path, low: str, high: str) -> None:
        """Write the people whose OneIDs are from `low` up to, not including, `high`."""
        writers = {table.name: TableWriter(folder / f"{table.name}.parquet", table, 10_000) for table in LIVE_TABLES}
        try:
            for one_id, value, stored_ms in self._rows(low, high):
                self._add(writers, thaw(one_id, bytes(value)), stored_ms)
                for writer in writers.values():
                    writer.flush_if_full()
        finally:
            for writer in writers.values():
                writer.close()

    def _rows(self, low: str, high: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.execute(_NEWEST, [low, high, low, high])
        while rows := cursor.fetchmany(1_000):
            yield from rows

    def _add(self, writers: dict[str, TableWriter], person: Person, stored_ms: int) -> None:
        self.people += 1
        one_id = person.one_id
        facts = person.facts(self._settings)
        derive = deriver(self._settings).row
        writers["live"].add((one_id, *derive(facts, self._now_ms, None)))
        for part in person.parts.values():
            writers["live_parts"].add((part.key, one_id, part.events, part.first_ms, part.last_ms, list(part.recent)))
            for ident, (events, first_ms, last_ms) in part.sightings.items():
                writers["live_sightings"].add((part.key, ident, events, first_ms, last_ms))
            for key, mark in part.marks.items():
                if mark.outcome <= EXPIRED:
                    row = (one_id, part.key, mark_id(key, part.key), key, OUTCOMES[mark.outcome], mark.at_ms)
                    writers["live_marks"].add(row)
        states = (one_id, person.at_rest, person.unpublished, person.published_ms, bool(person.parts), stored_ms)
        writers["live_people"].add(states)
        if person.parts:
            writers["live_then"].add((one_id, *derive(facts, person.published_ms, None), facts.identifiers()))


def mark_id(key: str, part: str) -> str:
    """Return the id of the trigger whose mark stands under a key in a part."""
    rule, instance, anchor = key.split("|", 2)
    return trigger_id((rule, instance.replace("%7C", "|"), anchor or part))


def under_way(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the parts that travelled at the cut: sent and not yet read, or come before their change was."""
    found = []
    sent = connection.execute(
        "SELECT decode(value) FROM lake_commands c JOIN inputs i USING (partition) "
        "WHERE kind = 'part' AND c.\"offset\" >= i.input"
    )
    while rows := sent.fetchmany(1_000):
        found += [parts.decode(msgspec.json.decode(text, type=_Sent).state).key for (text,) in rows]
    inboxes = connection.execute(
        "SELECT arg_max({'value': value}, \"offset\").value FROM lake_state s JOIN state_ends e USING (partition) "
        'WHERE s."offset" < e.place AND key = ? GROUP BY partition',
        [INBOX],
    )
    for (value,) in inboxes.fetchall():
        found += [part.key for part in parts_in(bytes(value))] if value else []
    return found


class _Sent(msgspec.Struct):
    state: bytes
