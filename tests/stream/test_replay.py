"""The main job: the same events give the same tables, and a folder appears whole or not at all."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import spill
from lake.writer import LOCK, NEW, OLD, STAGING, whole_folder
from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.times import parse_rfc3339
from stream.replay import TABLES, replay
from tests.differential.compare import read_rows
from tests.reference.generate import generate

ROOT = Path(__file__).resolve().parents[2]
FACTS = ("identities", "profiles", "triggers", "events", "identity_changes", "evidence")


def run(out: Path, *files: Path, **options: Any) -> dict[str, Any]:
    return replay([str(file) for file in files], out, options.pop("settings", Settings()), **options)


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def contents(out: Path, tables: tuple[str, ...] = FACTS) -> dict[str, bytes]:
    return {name: (out / f"{name}.parquet").read_bytes() for name in tables}


def event(event_id: str, kind: str, time: str, member: str = "m1", **data: Any) -> bytes:
    return json.dumps(
        {"id": event_id, "type": kind, "time": time, "identifiers": {"member_id": member}, "data": data}
    ).encode()


SEEDS = st.integers(0, 10**6)


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.randoms(use_true_random=False))
def test_order_repetition_and_division_into_files_change_nothing(seed: int, rng: random.Random) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = generate(seed, 120)
        run(folder / "one", written(folder / "all.jsonl", lines))
        shuffled = lines + rng.sample(lines, 30)
        rng.shuffle(shuffled)
        cuts = sorted(rng.sample(range(len(shuffled)), 2))
        first = written(folder / "a.jsonl", shuffled[: cuts[0]])
        second = folder / "b.jsonl.gz"
        second.write_bytes(gzip.compress(b"\n".join(shuffled[cuts[0] : cuts[1]])))
        third = folder / "c.zst"
        third.write_bytes(zstandard.compress(b"\r\n".join(shuffled[cuts[1] :]) + b"\n\n"))
        run(folder / "many", third, first, second)
        assert contents(folder / "one") == contents(folder / "many")


def test_the_same_input_gives_the_same_bytes_and_the_same_database(tmp_path: Path) -> None:
    source = written(tmp_path / "all.jsonl", generate(7, 300))
    for name in "ab":
        run(tmp_path / name, source)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted([*(f"{table.name}.parquet" for table in TABLES), "kith.duckdb", "summary.json"])
    for file in files:
        if file != "kith.duckdb":
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    told = []
    for name in "ab":
        with duckdb.connect(str(tmp_path / name / "kith.duckdb"), read_only=True) as database:
            rows = {table.name: database.sql(f"SELECT * FROM {table.name}").to_arrow_table() for table in TABLES}
            comments = database.sql(
                "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
            ).fetchall()
            told.append((rows, comments))
    assert told[0] == told[1]
    assert all(comment for _, _, comment in told[0][1])


def test_few_people_held_decoded_and_few_lines_in_memory_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "all.jsonl", generate(3, 300))
    run(tmp_path / "roomy", source)
    monkeypatch.setattr(spill, "BUFFER_BYTES", 5_000)
    monkeypatch.setattr("ingest.order.EventSorter.__init__.__defaults__", (5_000, None))
    run(tmp_path / "tight", source, max_decoded=2)
    assert contents(tmp_path / "roomy") == contents(tmp_path / "tight")


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_a_merge_that_is_split_again_leaves_the_profiles_there_would_have_been(seed: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = generate(seed, 120)
        run(folder / "apart", written(folder / "apart.jsonl", lines))
        before = read_rows(folder / "apart" / "identities.parquet")
        run(folder / "split", written(folder / "split.jsonl", lines + _merged_and_split(before)))
        for table in ("identities", "profiles"):
            assert contents(folder / "apart", (table,)) == contents(folder / "split", (table,))


def _merged_and_split(before: list[dict[str, Any]]) -> list[bytes]:
    """Link two people in the middle of the time, and unlink them at its end."""
    people = sorted({row["one_id"] for row in before})
    one, other = (next(row for row in before if row["one_id"] == people[place]) for place in (0, -1))
    ends = {name: {"kind": row["kind"], "value": row["value"]} for name, row in (("a", one), ("b", other))}
    first = min(row["first_seen"] for row in before)
    last = max(row["last_seen"] for row in before)
    middle = [
        {"id": "zz-link", "type": "customer.linked", "time": (first + last) // 2, "data": ends},
        {"id": "zz-unlink", "type": "customer.unlinked", "time": last, "data": ends},
    ]
    return [json.dumps(each).encode() for each in middle]


def test_the_clock_goes_on_to_the_end_inclusive_and_later_events_are_left_out(tmp_path: Path) -> None:
    source = written(
        tmp_path / "e.jsonl",
        [
            event("c", "customer.consented", "2026-01-01T00:00:00Z", purpose="marketing", granted=True),
            event("a", "cart.added", "2026-01-01T01:00:00Z", sku="A", quantity=1, unit_price="9.90"),
            event("late", "cart.cleared", "2026-01-02T01:00:00.001Z"),
        ],
    )
    due = "2026-01-02T01:00:00Z"
    summary = run(tmp_path / "out", source, until_ms=parse_rfc3339(due))
    [row] = read_rows(tmp_path / "out" / "triggers.parquet")
    assert (row["rule"], row["outcome"], row["fired_at"]) == ("cart-abandon", "fired", parse_rfc3339(due))
    assert (summary["events"], summary["left_out"], summary["until"]) == (2, 1, "2026-01-02T01:00:00.000Z")
    assert read_rows(tmp_path / "out" / "profiles.parquet")[0]["cart_value_minor"] == 990
    assert run(tmp_path / "out", source, until_ms=parse_rfc3339(due) - 1)["triggers"] == 0
    assert run(tmp_path / "out", source)["triggers"] == 1  # fired before the event that came a millisecond later


def test_an_event_at_the_due_time_counts_before_the_timer(tmp_path: Path) -> None:
    source = written(
        tmp_path / "e.jsonl",
        [
            event("c", "customer.consented", "2026-01-01T00:00:00Z", purpose="marketing", granted=True),
            event("a", "cart.added", "2026-01-01T01:00:00Z", sku="A", quantity=1),
            event("x", "cart.cleared", "2026-01-02T01:00:00Z"),
        ],
    )
    assert run(tmp_path / "out", source)["triggers"] == 0


def test_an_unreadable_file_leaves_nothing_and_keeps_the_earlier_result(tmp_path: Path) -> None:
    good = written(tmp_path / "good.jsonl", generate(1, 40))
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(good.read_bytes())[:-20])
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="torn"):
        run(out, good, torn)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.jsonl", "torn.jsonl.gz"]
    run(out, good)
    before = contents(out)
    with pytest.raises(ConfigError):
        run(out, good, torn)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.jsonl", "out", "torn.jsonl.gz"]


def test_what_a_killed_run_left_never_looks_finished_and_is_swept_by_the_next(tmp_path: Path) -> None:
    source = written(tmp_path / "e.jsonl", generate(1, 400))
    program = (
        "import os, signal; from pathlib import Path\n"
        "from schemas.settings import Settings; import stream.replay as r\n"
        "r.write_database = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"r.replay([{str(source)!r}], Path({str(tmp_path / 'out')!r}), Settings())"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir() if path.name not in ("e.jsonl",)]
    assert len(left) == 1
    assert left[0].startswith(".out.")
    assert not list(tmp_path.rglob("summary.json"))
    run(tmp_path / "out", source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.jsonl", "out"]


def test_a_run_that_died_between_two_renames_is_completed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    staging = tmp_path / f".out.x{STAGING}"
    for name in (OLD, NEW):
        (staging / name).mkdir(parents=True)
        (staging / name / "summary.json").write_text(name)
    (staging / LOCK).touch()
    with whole_folder(out) as folder:
        assert (out / "summary.json").read_text() == NEW
        (folder / "summary.json").write_text("next")
    assert (out / "summary.json").read_text() == "next"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_runs_into_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as first:
        (first / "summary.json").write_text("1")
        with whole_folder(tmp_path / "out") as second:
            (second / "summary.json").write_text("2")
    assert (tmp_path / "out" / "summary.json").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="other files"):
        run(tmp_path / "out", written(tmp_path / "e.jsonl", []))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_no_events_at_all_give_empty_tables(tmp_path: Path) -> None:
    summary = run(tmp_path / "out", written(tmp_path / "e.jsonl", []))
    assert (summary["events"], summary["people"], summary["until"]) == (0, 0, None)
    for table in TABLES:
        assert pq.read_table(tmp_path / "out" / f"{table.name}.parquet").schema == table.schema


BAD = {
    b"not json": "not_json",
    b"\xff\xfe{}": "not_json",
    b"[1, 2]": "invalid",
    event("a", "order.paid", "2026-01-01T00:00:00Z", order_id=7): "invalid",
    event("", "app.opened", "2026-01-01T00:00:00Z"): "invalid",
    event("b", "app.opened", "2026-13-01T00:00:00Z"): "invalid",
    event("b", "app.opened", "9999-01-01T00:00:00Z"): "invalid",
    event("b", "app.opened", "2026-01-01T00:00:00"): "invalid",
    event("b", "app.eaten", "2026-01-01T00:00:00Z"): "unknown_type",
    event("b", "app.opened", "2026-01-01T00:00:00Z", member="null"): "no_identifier",
    event("b", "order.refunded", "2026-01-01T00:00:00Z", order_id="o", amount="-1", currency="CNY"): "invalid",
    event("b", "order.refunded", "2026-01-01T00:00:00Z", order_id="o", amount="1e99", currency="CNY"): "invalid",
    event("b", "order.refunded", "2026-01-01T00:00:00Z", order_id="o", amount="0.001", currency="CNY"): "invalid",
    event("b", "app.opened", "2026-01-01T00:00:00Z", n=float("nan")): "not_json",
    event("b", "app.opened", "2026-01-01T00:00:00Z", n=float("inf")): "not_json",
    event("b", "app.opened", "2026-01-01T00:00:00Z", channel="a\0b"): "not_json",
    event("b", "app.opened", "2026-01-01T00:00:00Z", channel="\ud800"): "not_json",
    event("b", "app.opened", "2026-01-01T00:00:00Z").replace(b"m1", b"m\x001"): "not_json",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: "not_json",
    event("b", "custom.big", "2026-01-01T00:00:00Z", blob="x" * 10_000_000): "too_large",
    json.dumps(
        {
            "id": "b",
            "type": "customer.linked",
            "time": 0,
            "data": {"a": {"kind": "member_id", "value": "m"}, "b": {"kind": "member_id", "value": "m"}},
        }
    ).encode(): "invalid_link",
}


def test_bad_lines_of_every_kind_keep_their_bytes_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = [event(f"g{n}", "app.opened", "2026-01-01T00:00:00Z") for n in range(len(BAD))]
    lines = [line for pair in zip(BAD, good, strict=True) for line in pair]
    source = written(tmp_path / "e.jsonl", lines)
    summary = run(tmp_path / "out", source)
    rows = read_rows(tmp_path / "out" / "deadletters.parquet")
    assert [(row["raw"], row["reason"]) for row in rows] == list(BAD.items())
    assert [row["line"] for row in rows] == list(range(1, 2 * len(BAD), 2))
    assert {row["source"] for row in rows} == {str(source)}
    assert all(row["detail"] for row in rows)
    assert (summary["events"], summary["deadletters"], summary["lines"]) == (len(good), len(BAD), 2 * len(BAD))


def test_a_link_stands_among_the_events_without_a_person(tmp_path: Path) -> None:
    ends = {"a": {"kind": "member_id", "value": "m1"}, "b": {"kind": "member_id", "value": "m2"}}
    link = json.dumps({"id": "l", "type": "customer.linked", "time": 1_800_000_000_000, "data": ends}).encode()
    lines = [event("a", "app.opened", "2026-01-01T00:00:00Z"), event("b", "app.opened", "2026-01-01T00:00:00Z", "m2")]
    run(tmp_path / "out", written(tmp_path / "e.jsonl", [*lines, link]))
    rows = {row["event_id"]: row for row in read_rows(tmp_path / "out" / "events.parquet")}
    assert (rows["l"]["one_id"], rows["l"]["part"]) == (None, None)
    assert rows["a"]["one_id"] == rows["b"]["one_id"]
    changes = read_rows(tmp_path / "out" / "identity_changes.parquet")
    assert [(row["change"], row["evidence_event_id"]) for row in changes] == [("merged", "l")]
    assert len(read_rows(tmp_path / "out" / "profiles.parquet")) == 1


def test_a_file_of_the_users_own_in_an_earlier_result_is_not_deleted(tmp_path: Path) -> None:
    source = written(tmp_path / "e.jsonl", [])
    run(tmp_path / "out", source)
    (tmp_path / "out" / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        run(tmp_path / "out", source)
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"


def test_a_link_is_followed(tmp_path: Path) -> None:
    source = written(tmp_path / "e.jsonl", [])
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for _ in range(2):
        run(tmp_path / "link", source)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target" / "summary.json").is_file()


def test_amounts_that_add_up_beyond_64_bits_stop_nobody(tmp_path: Path) -> None:
    lines = [
        event(f"e{n}", "order.paid", "2026-01-01T00:00:00Z", order_id=f"o{n}", items=[], amount=10**13, currency="CNY")
        for n in range(9_300)
    ]
    run(tmp_path / "out", written(tmp_path / "e.jsonl", lines))
    [row] = read_rows(tmp_path / "out" / "profiles.parquet")
    assert (row["orders"], row["revenue_minor"], row["aov_minor"]) == (9_300, 2**63 - 1, 10**15)


def test_a_file_name_that_is_not_utf_8_is_shown_as_well_as_can_be(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jsonl")
    Path(name).write_bytes(b"nonsense\n")
    run(tmp_path / "out", Path(name))
    [row] = read_rows(tmp_path / "out" / "deadletters.parquet")
    assert row["source"].endswith("bad\ufffd.jsonl")


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = Thread(target=pipe.write_bytes, args=(event("a", "app.opened", "2026-01-01T00:00:00Z"),), daemon=True)
    feeder.start()
    assert run(tmp_path / "out", pipe)["events"] == 1
    feeder.join(5)
