"""An export of the live state: the tables of a replay, what came late, and what is not yet worked off."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from cli.main import main
from ingest.admit import Admission
from lake.reading import Folder
from schemas.errors import InvalidEvent, StateError
from schemas.firing import Firing
from schemas.settings import Settings
from schemas.times import parse_rfc3339
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


def test_an_event_worked_off_after_a_later_one_of_its_person_is_late_and_one_left_out_is_no_event(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    member, device = "member_id:m1", "device_id:d1"
    live = InProcess(connection, settings)
    live.publish(
        [
            event("a", "app.opened", "2026-03-01T00:00:00Z", member),
            event("b", "app.opened", "2026-03-03T00:00:00Z", member, device),
            event("late", "app.opened", "2026-03-02T00:00:00Z", device),  # another part, the same person
            event("same", "app.opened", "2026-03-03T00:00:00Z", member),
            event("other", "app.opened", "2026-03-01T00:00:00Z", "member_id:m2"),
            event("a", "app.opened", "2026-03-01T00:00:00Z", member),  # came before, so it is no late event
            event("a", "app.opened", "2026-03-04T00:00:00Z", member),  # the id belongs to another event
            event("b", "app.opened", "2026-02-01T00:00:00Z", "member_id:m3"),  # so it does live, in another part
            event("old", "app.opened", "2026-02-01T00:00:00Z", "member_id:m2"),
            b"nonsense",
        ]
    )
    live.advance(parse_rfc3339("2026-03-05T00:00:00Z"))
    live.publish([event("behind", "app.opened", "2026-03-04T12:00:00Z", member)])
    live.commit()
    summary = export(connection, settings, tmp_path / "out")
    late = {row["event_id"]: row["late_by_ms"] for row in rows(tmp_path / "out", "late_events")}
    assert late == {"late": DAY_MS, "old": 28 * DAY_MS, "behind": DAY_MS // 2}
    found = [(row["event_id"], row["part"]) for row in rows(tmp_path / "out", "events")]
    assert sorted(found) == [
        ("a", member),
        ("b", member),
        ("b", "member_id:m3"),
        ("behind", member),
        ("late", device),
        ("old", "member_id:m2"),
        ("other", "member_id:m2"),
        ("same", member),
    ]
    letters = [(row["source"], row["line"], row["reason"]) for row in rows(tmp_path / "out", "deadletters")]
    assert letters == [("events.customer/0", 7, "id_conflict"), ("events.customer/0", 10, "not_json")]
    assert (summary["late_events"], summary["deadletters"]) == (3, 2)
    assert summary["until"] == "2026-03-05T00:00:00.000Z"


def command(event_id: str, what: str, time: str, members: tuple[str, str] = ("member_id:m1", "member_id:m2")) -> bytes:
    """A steward's word on two members."""
    ends = {
        end: {"kind": "member_id", "value": member.partition(":")[2]} for end, member in zip("ab", members, strict=True)
    }
    return json.dumps({"id": event_id, "type": f"customer.{what}", "time": time, "data": ends}).encode()


def test_what_was_late_while_two_were_one_concerns_both_of_them_also_after_they_parted(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    live.publish(
        [
            event("a", "app.opened", "2026-03-01T00:00:00Z", "member_id:m1"),
            event("b", "app.opened", "2026-03-01T00:00:00Z", "member_id:m2"),
            command("l", "linked", "2026-03-02T00:00:00Z"),
            event("newer", "app.opened", "2026-03-05T00:00:00Z", "member_id:m2"),
            event("late", "app.opened", "2026-03-03T00:00:00Z", "member_id:m1"),
            command("u", "unlinked", "2026-03-06T00:00:00Z"),
            event("apart", "app.opened", "2026-03-05T12:00:00Z", "member_id:m3"),
        ]
    )
    live.commit()
    summary = export(connection, settings, tmp_path / "out")
    late = {(row["event_id"], row["one_id"], row["late_by_ms"]) for row in rows(tmp_path / "out", "late_events")}
    assert late == {("late", live.one_id(f"member_id:{member}"), 2 * DAY_MS) for member in ("m1", "m2")}
    assert summary["late_events"] == 1


def test_a_command_that_comes_after_what_happened_later_is_late(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    members = people_apart(live)
    live.publish(event(member, "app.opened", "2026-03-05T00:00:00Z", member) for member in members)
    live.publish([command("l", "linked", "2026-03-03T00:00:00Z", members)])
    live.commit()
    export(connection, settings, tmp_path / "out")
    late = [(row["event_id"], row["one_id"], row["part"]) for row in rows(tmp_path / "out", "late_events")]
    assert late == [("l", live.one_id(members[0]), None)]


def test_what_was_late_only_beside_another_person_is_not_late_when_they_become_one(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    first, second = people_apart(live)
    live.publish([event("newer", "app.opened", "2026-03-05T00:00:00Z", second)])
    live.publish([event("older", "app.opened", "2026-03-03T00:00:00Z", first)])
    live.publish([command("l", "linked", "2026-03-06T00:00:00Z", (first, second))])
    live.publish([event("same", "app.opened", "2026-03-06T00:00:00Z", first)])
    live.publish([event("behind", "app.opened", "2026-03-04T00:00:00Z", first)])  # before the link and what it brought
    live.commit()
    export(connection, settings, tmp_path / "out")
    late = [(row["event_id"], row["one_id"], row["late_by_ms"]) for row in rows(tmp_path / "out", "late_events")]
    assert late == [("behind", live.one_id(first), 2 * DAY_MS)]


def test_a_part_that_nobody_has_read_yet_belongs_to_whom_it_was_sent(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    first, second = people_apart(live)
    for number, member in enumerate((first, second)):
        live.publish(
            event(f"{member}-{n}", "app.opened", f"2026-03-0{n + 1}T00:00:00Z", member) for n in range(number + 2)
        )
    taker, giver = (live.partition(live.one_id(member)) for member in (first, second))
    live.held = {taker}
    live.publish([command("l", "linked", "2026-03-09T00:00:00Z", (first, second))])
    assert giver != taker
    live.commit()
    summary = export(connection, settings, tmp_path / "held")
    profiles = rows(tmp_path / "held", "profiles")
    assert [(row["one_id"], row["events"]) for row in profiles] == [(live.one_id(first), 5)]
    assert (summary["complete"], summary["parts_under_way"], summary["parts_not_there_yet"]) == (False, 1, 0)
    assert summary["unread"] == {"profile": 2}  # the change and the part

    live.held = {giver}  # nothing more to read there
    live.work()
    live.commit()
    summary = export(connection, settings, tmp_path / "worked-off")
    assert rows(tmp_path / "worked-off", "profiles") == profiles
    assert (summary["complete"], summary["parts_under_way"], summary["unread"]) == (True, 0, {})


def test_a_part_whose_giver_has_not_read_the_change_counts_with_its_owner(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    first, second = people_apart(live)
    live.publish(event(member, "app.opened", "2026-03-01T00:00:00Z", member) for member in (first, second))
    live.held = {live.partition(live.one_id(member)) for member in (first, second)}
    live.publish([command("l", "linked", "2026-03-09T00:00:00Z", (first, second))])
    live.commit()
    summary = export(connection, settings, tmp_path / "out")
    assert [row["events"] for row in rows(tmp_path / "out", "profiles")] == [2]
    assert (summary["complete"], summary["people"]) == (False, 1)


def test_somebody_whose_events_nobody_has_folded_yet_is_there_without_them(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    live.held = set(range(3))
    live.publish([event("a", "app.opened", "2026-03-01T00:00:00Z", "member_id:m1", "phone:13900001000")])
    live.commit()
    summary = export(connection, settings, tmp_path / "out")
    assert (summary["complete"], summary["parts_not_there_yet"], summary["people_with_events"]) == (False, 1, 0)
    found = [(row["kind"], row["first_seen"], row["events"]) for row in rows(tmp_path / "out", "identities")]
    seen = parse_rfc3339("2026-03-01T00:00:00Z")
    assert found == [("member_id", seen, 0), ("phone", seen, 0)]
    assert [row["events"] for row in rows(tmp_path / "out", "profiles")] == [0]


def people_apart(live: InProcess) -> tuple[str, str]:
    """Two members whose people live in different partitions, the first of whom stays when they merge."""
    members = [f"member_id:m{number}" for number in range(20)]
    namer = live.name
    first = members[0]
    second = next(member for member in members if live.partition(namer(member)) != live.partition(namer(first)))
    return first, second


def test_a_trigger_that_stands_twice_stops_the_export_and_leaves_nothing(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    live = InProcess(connection, settings)
    firing = Firing("t-1", "welcome", 1, "x", None, "e", 1, "member_id:m", 1, 1, 1, "fired", None, "", (), (), {})
    live.fire(firing)
    live.fire(firing)
    live.commit()
    with pytest.raises(StateError, match="t-1"):
        export(connection, settings, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_the_command_writes_the_tables_and_says_what_is_missing(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    config = tmp_path / "kith.yaml"
    config.write_text(
        f"kafka: {{brokers: '{settings.kafka.brokers}', prefix: '{settings.kafka.prefix}', partitions: 3}}\n"
    )
    options = ["--config", str(config), "--out", str(tmp_path / "out")]
    missing = CliRunner().invoke(main, ["export", *options])
    assert missing.exit_code == 1
    assert "kith topics create" in missing.stderr
    live = InProcess(connection, settings)
    live.publish([event("a", "app.opened", "2026-03-01T00:00:00Z", "member_id:m1")])
    live.commit()
    early = CliRunner().invoke(main, ["export", *options, "--until", "2026-02-01T00:00:00Z"])
    assert (early.exit_code, "--until: before the last event, 2026-03-01" in early.stderr) == (2, True)
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(main, ["export", *options, "--until", "2026-03-02T00:00:00Z", "--quiet"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "as of 2026-03-02T00:00:00.000Z" in done.stdout
    assert (Folder(tmp_path / "out").summary["events"], Folder(tmp_path / "out").settings) == (
        1,
        Settings.model_validate({"kafka": settings.kafka.model_dump() | {"replication": None}}),
    )
    shown = CliRunner().invoke(main, ["profile", "show", "member_id:m1", "--from", str(tmp_path / "out")])
    assert shown.exit_code == 0


def test_a_kafka_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.broker.Broker.__init__.__defaults__", (1.0,))
    options = ["export", "--out", str(tmp_path / "out")]
    result = CliRunner(env={"KITH_KAFKA__BROKERS": "127.0.0.1:1"}).invoke(main, options)
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr
    assert list(tmp_path.iterdir()) == []
