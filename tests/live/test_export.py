"""An export of the live state: the tables of a replay, what came late, and what is not yet worked off."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.admit import Admission
from lake.reading import Folder
from schemas.errors import InvalidEvent
from schemas.settings import Settings
from stream.connection import Connection
from stream.export import TABLES, export
from stream.replay import replay
from tests.differential.compare import read_rows
from tests.live.in_process import InProcess
from tests.reference.generate import generate

DAY_MS = 86_400_000
SAME = ("identities", "profiles", "triggers", "events", "evidence", "identity_changes")


def time_of(line: bytes) -> int:
    try:
        return Admission(Settings()).admit(line).time_ms
    except InvalidEvent:
        return 0


def in_order(lines: list[bytes]) -> list[bytes]:
    def key(line: bytes) -> tuple[int, str]:
        try:
            event = Admission(Settings()).admit(line)
        except InvalidEvent:
            return 0, ""
        return event.time_ms, event.id

    return sorted(lines, key=key)


def once(lines: list[bytes]) -> list[bytes]:
    """The lines without those whose id another one has: live, an id belongs to a part, in a replay to all."""
    ids: dict[str, bytes] = {}
    found = []
    for line in lines:
        try:
            event_id = Admission(Settings()).admit(line).id
        except InvalidEvent:
            found.append(line)
        else:
            if ids.setdefault(event_id, line) is line:
                found.append(line)
    return found


def event(event_id: str, kind: str, time: str, *idents: str, **data: Any) -> bytes:
    identifiers = dict(ident.split(":", 1) for ident in idents)
    return json.dumps({"id": event_id, "type": kind, "time": time, "identifiers": identifiers, "data": data}).encode()


def replayed(lines: list[bytes], folder: Path, settings: Settings, until_ms: int) -> Path:
    source = folder / "events.jsonl"
    source.write_bytes(b"".join(line + b"\n" for line in lines))
    replay([str(source)], folder / "replayed", settings, until_ms=until_ms)
    return folder / "replayed"


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return read_rows(folder / f"{table}.parquet")


def differences(expected: Path, found: Path, table: str) -> list[str]:
    """One text per row that only one of the folders has."""
    ours, theirs = (
        Counter(json.dumps(row, sort_keys=True, ensure_ascii=False, default=str) for row in rows(folder, table))
        for folder in (expected, found)
    )
    return [f"only replayed: {row}" for row in ours - theirs] + [f"only live: {row}" for row in theirs - ours]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_published_in_order_gives_the_tables_of_its_replay(
    connection: Connection, settings: Settings, tmp_path: Path, seed: int
) -> None:
    lines = once(generate(seed, 300))
    until_ms = max(map(time_of, lines)) + 40 * DAY_MS
    expected = replayed(lines, tmp_path, settings, until_ms)
    live = InProcess(connection, settings)
    live.publish(in_order(lines + random.Random(seed).sample(lines, 20)))
    live.advance(until_ms)
    live.commit()
    out = tmp_path / "out"
    summary = export(connection, settings, out)
    for table in SAME:
        assert differences(expected, out, table) == [], table
    assert Counter(row["reason"] for row in rows(out, "deadletters")) >= Counter(
        row["reason"] for row in rows(expected, "deadletters")
    )
    assert rows(out, "late_events") == []
    assert (summary["complete"], summary["unread"], summary["frozen"]) == (True, {}, 0)
    replay_summary = Folder(expected).summary
    for name in ("events", "people", "identifiers", "orders", "triggers", "merged", "split", "refused", "hub", "until"):
        assert summary[name] == replay_summary[name], name
    for name in ("events_by_type", "triggers_by_rule"):
        assert summary[name] == replay_summary[name], name
    with duckdb.connect(str(out / "kith.duckdb"), read_only=True) as database:
        tables = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert tables == {table.name for table in TABLES}
