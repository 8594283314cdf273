"""Snapshots beside workers: consistent while they write, equal to the export when they are done, made on schedule."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from bench.pipeline import LivePipeline
from lake.snapshot_series import series
from lake.store import LakeStore
from lake.writer import FINISHED
from schemas.settings import Settings
from schemas.times import parse_rfc3339
from stream.snapshot import snapshot
from stream.snapshot_schedule import series_folder
from tests.live.test_equal import DAY_MS, lines_of, replayed, shuffled, time_of
from tests.live.test_export import once
from tests.stream.test_snapshot import SAME, differences, rows


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "lake": settings.lake.model_copy(update={"every": "1s", "rows": 200}),
            "snapshots": settings.snapshots.model_copy(update={"every": "2s", "keep": 2}),
        }
    )


def consistent(folder: Path) -> int:
    """Assert that people and events of a snapshot say the same; return the number of events."""
    events = Counter(row["one_id"] for row in rows(folder, "events", ["one_id", "part"]) if row["part"] is not None)
    assert events == Counter({row["one_id"]: row["events"] for row in rows(folder, "people", ["one_id", "events"])})
    return events.total()


def through_ms(folder: Path) -> int:
    """Up to when a snapshot is complete, 0 if there is none; one may go while it is looked at."""
    try:
        return parse_rfc3339(json.loads((folder / FINISHED).read_text())["complete_through"])
    except FileNotFoundError:
        return 0


def test_they_are_consistent_while_events_flow_and_the_export_when_all_is_done(
    settings: Settings, tmp_path: Path
) -> None:
    lines = once(lines_of(60, 120, seed=8))
    store = LakeStore(f"{settings.worker.data}/lake")
    until_ms = max(filter(None, map(time_of, lines))) + DAY_MS
    sizes = []
    with LivePipeline(settings, tmp_path / "live") as live:
        for _ in range(2):
            live.start_worker()
        live.publish(shuffled(lines[:200], 7 * DAY_MS - 1, seed=1))
        live.wait()
        for start in range(200, 2_000, 450):  # the next ones come as soon as some of the last are seen
            live.publish(lines[start : start + 450])
            before, deadline = sizes[-1] if sizes else 0, time.monotonic() + 60
            while not sizes or sizes[-1] == before:
                assert time.monotonic() < deadline, f"the lake has stopped at {before} events"
                summary = snapshot(store, settings, tmp_path / "now", processes=1)
                assert summary["parts_with_other_events"] == 0
                sizes.append(consistent(tmp_path / "now"))
        live.publish(lines[2_000:])
        live.wait()
        live.advance(until_ms)
        live.wait()
        summary = json.loads(live.kith("snapshot", "--out", str(tmp_path / "out"), "--json"))
        exported = live.export(tmp_path / "exported")
        done_ms, deadline = time.time() * 1000, time.monotonic() + 60
        while through_ms(series_folder(settings) / "latest") < done_ms:  # the schedule goes on
            assert time.monotonic() < deadline
            time.sleep(0.2)
        shutil.copytree((series_folder(settings) / "latest").resolve(), tmp_path / "latest")
        assert len(series(series_folder(settings))) <= 3  # two, and the one that comes before the oldest goes
        for worker in list(live.workers):
            assert live.stop_worker(worker) == 0
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 1, "no snapshot was made while events flowed"
    assert summary["parts_with_other_events"] == summary["frozen"] == summary["parts_under_way"] == 0
    assert differences(exported, tmp_path / "out") == []
    assert differences(exported, tmp_path / "latest") == []
    assert consistent(tmp_path / "latest") == summary["events"] - summary["events_by_type"].get("customer.linked", 0)

    # From the lake of workers that are gone: what they last did, and any time before.
    with LivePipeline(settings, tmp_path / "live") as live:
        live.kith("snapshot", "--out", str(tmp_path / "after"))
        moment = (until_ms + min(filter(None, map(time_of, lines)))) // 2
        live.kith("snapshot", "--out", str(tmp_path / "then"), "--as-of", str(moment))
    for table in SAME:
        assert rows(tmp_path / "after", table) == rows(tmp_path / "out", table)
    assert differences(replayed(lines, tmp_path, settings, moment), tmp_path / "then") == []
    with duckdb.connect(str(tmp_path / "then" / "kith.duckdb"), read_only=True) as database:
        [(as_of,)] = database.execute("SELECT epoch_ms(as_of) FROM snapshot").fetchall()
    assert as_of == moment
