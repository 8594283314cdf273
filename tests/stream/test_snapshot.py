"""A snapshot of the lake is what the events say: now, at any past time, and while parts are on their way."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from lake.snapshot_tables import SNAPSHOT_TABLES
from lake.store import LakeStore
from schemas.errors import ConfigError, TransientError
from schemas.settings import Settings
from schemas.times import parse_rfc3339
from stream.replay import replay
from stream.snapshot import snapshot
from tests.docs import snapshots_page
from tests.lake.audit_lake import PREFIX, SmallLake
from tests.live.test_equal import DAY_MS, lines_of, shuffled, time_of
from tests.live.test_export import event, in_order, once
from tests.reference.generate import generate

SETTINGS = Settings.model_validate({"kafka": {"partitions": 3, "prefix": PREFIX}})
SAME = {
    "people": "profiles",
    "identifiers": "identities",
    **{
        name: name
        for name in ("orders", "order_items", "carts", "tickets", "tags", "consents", "events", "evidence", "triggers")
    },
    "identity_changes": "identity_changes",
}


def rows(folder: Path, table: str, columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{table}.parquet", columns=None if columns is None else list(columns)).to_pylist()


def differences(expected: Path, found: Path) -> list[str]:
    """One text per row that only one of the folders has; the columns are those of the replay."""
    texts = []
    for ours, theirs in SAME.items():
        columns = pq.read_schema(expected / f"{theirs}.parquet").names
        here = Counter(map(repr, rows(found, ours, columns)))
        there = Counter(map(repr, rows(expected, theirs, columns)))
        texts += [f"{ours}: only in the snapshot: {row}" for row in here - there]
        texts += [f"{ours}: only in the replay: {row}" for row in there - here]
        if not texts and ours != "identity_changes":  # live, the changes of one event are told in another order
            assert rows(found, ours, columns) == rows(expected, theirs, columns), f"{ours}: in another order"
    return texts


def filled(lines: list[bytes], settings: Settings = SETTINGS) -> SmallLake:
    lake = SmallLake(settings)
    for start in range(0, len(lines), 60):
        lake.publish(lines[start : start + 60])
        lake.profiles()
    return lake


def replayed(lines: list[bytes], folder: Path, until_ms: int, settings: Settings = SETTINGS) -> Path:
    source = folder / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    replay([str(source)], folder / f"replayed-{until_ms}", settings, until_ms=until_ms)
    return folder / f"replayed-{until_ms}"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_latest_one_is_the_replay_of_all_events(seed: int, tmp_path: Path) -> None:
    lines = in_order(once(generate(seed, 300)))
    until_ms = max(filter(None, map(time_of, lines))) + 40 * DAY_MS
    lake = filled(lines)
    lake.advance(until_ms)
    summary = snapshot(lake.write(tmp_path / "lake"), SETTINGS, tmp_path / "out", share_people=7, processes=1)
    assert differences(replayed(lines, tmp_path, until_ms), tmp_path / "out") == []
    assert summary["parts_with_other_events"] == summary["frozen"] == summary["parts_under_way"] == 0


@pytest.mark.parametrize("method", ["fixed", "mean", "quantile"])
def test_one_of_a_past_time_is_the_replay_of_the_events_up_to_then(method: str, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"kafka": {"partitions": 3, "prefix": PREFIX}, "profiles": {"rfm": {"method": method}}}
    )
    lines = once(lines_of(40, 150, seed=len(method)))
    lake = filled(shuffled(lines, 7 * DAY_MS - 1, seed=1), settings)
    times = sorted(filter(None, map(time_of, lines)))
    lake.advance(times[-1] + DAY_MS)
    store = lake.write(tmp_path / "lake")
    r = random.Random(method)
    moments = [r.randrange(times[0], times[-1]) for _ in range(3)] + [r.choice(times), times[-1] + 20 * DAY_MS]
    for moment in moments:
        snapshot(store, settings, tmp_path / "out", moment, share_people=5, processes=1)
        assert differences(replayed(lines, tmp_path, moment, settings), tmp_path / "out") == []


def test_shares_and_processes_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = once(lines_of(30, 100, seed=9))
    times = sorted(filter(None, map(time_of, lines)))
    lake = filled(in_order(lines))
    store = lake.write(tmp_path / "lake")
    snapshot(store, SETTINGS, tmp_path / "whole", times[-40], processes=1)
    monkeypatch.setattr("stream.snapshot_past.EVENTS_AT_A_TIME", 50)
    snapshot(store, SETTINGS, tmp_path / "shared", times[-40], share_people=4, processes=2)
    for table in SNAPSHOT_TABLES:
        if table.name != "snapshot":
            assert rows(tmp_path / "whole", table.name) == rows(tmp_path / "shared", table.name), table.name


@pytest.mark.parametrize("seed", range(6))
def test_while_parts_are_on_their_way_every_event_counts_with_one_person_once(seed: int, tmp_path: Path) -> None:
    r = random.Random(seed)
    lines = shuffled(in_order(once(generate(seed + 20, 250))), 7 * DAY_MS - 1, seed)
    lines += r.sample(lines, 20)
    lake = SmallLake(SETTINGS)
    under_way = 0
    for number, line in enumerate(lines):
        if number % 10 == 0:
            lake.held = {n for n in range(3) if r.random() < 0.4}
        lake.publish([line])
        if r.random() < 0.02:
            lake.profiles()
    store = lake.write(tmp_path / "lake")
    summary = snapshot(store, SETTINGS, tmp_path / "out", share_people=9, processes=1)
    assert summary["parts_with_other_events"] == 0
    events = rows(tmp_path / "out", "events")
    assert sum(row["events"] for row in rows(tmp_path / "out", "people")) == sum(
        row["part"] is not None for row in events
    )
    by_person = Counter(row["one_id"] for row in events if row["part"] is not None)
    assert by_person == Counter({row["one_id"]: row["events"] for row in rows(tmp_path / "out", "people")})
    owners = {f"{row['kind']}:{row['value']}": row["one_id"] for row in rows(tmp_path / "out", "identifiers")}
    assert all(owners[row["part"]] == row["one_id"] for row in events if row["part"] is not None)
    under_way += summary["parts_under_way"] + summary["parts_not_there_yet"]
    assert under_way or seed not in (0, 1)  # these seeds stop in the middle of moves


def test_an_event_sent_back_and_one_published_twice_count_once(tmp_path: Path) -> None:
    lines = in_order(once(lines_of(20, 80, seed=3)))
    lake = filled(lines + lines[:50])
    summary = snapshot(lake.write(tmp_path / "lake"), SETTINGS, tmp_path / "out", processes=1)
    assert summary["parts_with_other_events"] == 0
    ids = [row["event_id"] for row in rows(tmp_path / "out", "events")]
    assert len(ids) == len(set(ids))


def test_it_says_up_to_where_it_is_complete_and_what_there_is(tmp_path: Path) -> None:
    lines = in_order(once(lines_of(10, 60, seed=5)))
    summary = snapshot(filled(lines).write(tmp_path / "lake"), SETTINGS, tmp_path / "out", processes=1)
    [about] = rows(tmp_path / "out", "snapshot")
    assert json.loads(about["offsets"]) == {
        topic: {str(number): end for number, end in ends.items()} for topic, ends in summary["offsets"].items()
    }
    assert set(summary["offsets"]) == {"events.identified", "profiles.state", "identity.graph", "identity.requests"}
    assert (
        about["complete_through"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        == (summary["complete_through"])
    )
    with duckdb.connect(str(tmp_path / "out" / "kith.duckdb"), read_only=True) as database:
        tables = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        comments = database.execute("SELECT comment FROM duckdb_columns() WHERE NOT internal").fetchall()
        views = database.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        for (view,) in views:
            database.execute(f"FROM {view}").fetchall()  # each can be asked, by whoever opens the file
    assert tables == {table.name for table in SNAPSHOT_TABLES}
    assert all(comment and " · " in comment for (comment,) in comments)
    assert ("rfm_grid",) in views


GOAL = {
    "triggers": {
        "cap": "off",
        "quiet_hours": "off",
        "rules": {
            "asked": {
                "title": {"en": "Asked", "zh": "询问"},
                "since": "app.opened",
                "after": "1h",
                "purpose": "service",
                "goal": {"event": "order.paid", "within": "2h"},
            }
        },
    },
    "kafka": {"partitions": 3, "prefix": PREFIX},
}


def paid(event_id: str, time: str, member: str) -> bytes:
    item = {"sku": "A", "quantity": 1, "unit_price": "5.00"}
    return event(event_id, "order.paid", time, member, order_id=event_id, items=[item], amount="5.00", currency="CNY")


def test_a_goal_is_met_by_the_first_event_after_the_firing_and_in_time(tmp_path: Path) -> None:
    settings = Settings.model_validate(GOAL)
    in_time, early, late = "member_id:a1", "member_id:b2", "member_id:c3"
    lines = [event(member, "app.opened", "2026-03-01T00:00:00Z", member) for member in (in_time, early, late)]
    lines += [
        paid("p1", "2026-03-01T00:30:00Z", early),  # before it fired
        paid("p2", "2026-03-01T02:00:00Z", in_time),
        paid("p3", "2026-03-01T02:30:00Z", in_time),
        paid("p4", "2026-03-01T03:00:01Z", late),
    ]
    lake = filled(lines, settings)
    lake.advance(parse_rfc3339("2026-03-02T00:00:00Z"))
    store = lake.write(tmp_path / "lake")
    for out, moment in (("now", None), ("then", parse_rfc3339("2026-03-02T00:00:00Z"))):
        snapshot(store, settings, tmp_path / out, moment, processes=1)
        found = {
            row["anchor_event_id"]: row["goal_at"] for row in rows(tmp_path / out, "triggers") if row["rule"] == "asked"
        }
        assert {anchor: at and at.isoformat() for anchor, at in found.items()} == {
            in_time: "2026-03-01T02:00:00+00:00",
            early: None,
            late: None,
        }
        until = {row["goal_until"] and row["goal_until"].isoformat() for row in rows(tmp_path / out, "triggers")}
        assert until == {"2026-03-01T03:00:00+00:00"}


def test_who_reads_the_old_file_goes_on_reading_it(tmp_path: Path) -> None:
    lines = in_order(once(lines_of(10, 60, seed=5)))
    store = filled(lines).write(tmp_path / "lake")
    times = sorted(filter(None, map(time_of, lines)))
    snapshot(store, SETTINGS, tmp_path / "out", times[len(times) // 2], processes=1)
    with duckdb.connect(str(tmp_path / "out" / "kith.duckdb"), read_only=True) as reader:
        before = reader.execute("SELECT count(*) FROM events").fetchall()
        snapshot(store, SETTINGS, tmp_path / "out", processes=1)
        assert reader.execute("SELECT count(*) FROM events").fetchall() == before
        assert reader.execute("SELECT count(DISTINCT event_id) FROM events").fetchall() == before
    assert [(len(rows(tmp_path / "out", "events")),)] > before


def test_a_lake_that_is_not_there_or_not_that_far_is_told(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="has nothing of"):
        snapshot(LakeStore(str(tmp_path / "none")), SETTINGS, tmp_path / "out")
    store = SmallLake(SETTINGS)
    store.publish(in_order(once(lines_of(3, 30, seed=5))))
    with pytest.raises(ConfigError, match="--as-of: the lake is complete up to"):
        snapshot(store.write(tmp_path / "lake"), SETTINGS, tmp_path / "out", parse_rfc3339("2099-01-01T00:00:00Z"))
    assert not (tmp_path / "out").exists()


def test_duckdb_polars_and_pandas_read_it_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = in_order(once(lines_of(40, 90, seed=6)))
    snapshot(filled(lines).write(tmp_path / "lake"), SETTINGS, tmp_path / "people", processes=1)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", snapshots_page.PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(snippet, names)
    people, orders = rows(tmp_path / "people", "people"), rows(tmp_path / "people", "orders")
    assert dict(zip(names["stages"]["lifecycle"], names["stages"]["len"], strict=True)) == Counter(
        row["lifecycle"] for row in people
    )
    assert names["by_month"].sum() == sum(row["amount_minor"] for row in orders) > 0
    assert "member_id" in capsys.readouterr().out
