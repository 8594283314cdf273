"""The live pipeline gives what the replay gives: real processes, a real Kafka, the same rows."""

import json
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.pipeline import LivePipeline, differences
from ingest.generator import generate
from schemas.settings import Settings
from stream.replay import replay

DAY_MS = 86_400_000


def lines_of(customers: int, days: int, seed: int) -> list[bytes]:
    return [bytes(line).rstrip(b"\n") for line in generate(customers, days, seed)]


def replayed(lines: list[bytes], folder: Path, settings: Settings, until_ms: int) -> Path:
    source = folder / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    replay([str(source)], folder / "replayed", settings, until_ms=until_ms)
    return folder / "replayed"


def time_of(line: bytes) -> int | None:
    """The time of a valid event in ms, None for anything else."""
    from ingest.admit import Admission
    from schemas.errors import InvalidEvent

    try:
        return Admission(Settings()).admit(line).time_ms
    except InvalidEvent:
        return None


def shuffled(lines: list[bytes], within_ms: int, seed: int) -> list[bytes]:
    """The lines in an order in which no event comes after one that is newer by more than `within_ms`."""
    r = random.Random(seed)
    times = [time_of(line) for line in lines]
    last = 0
    keys = []
    for time_ms in times:
        last = time_ms or last
        keys.append(last + r.randrange(within_ms))
    return [line for _, line in sorted(zip(keys, lines, strict=True), key=lambda pair: pair[0])]


@pytest.mark.parametrize("workers", [1, 2])
def test_people_and_profiles_are_those_of_the_replay_in_any_order_within_the_horizon(
    settings: Settings, tmp_path: Path, workers: int
) -> None:
    lines = lines_of(60, 120, seed=workers)
    until_ms = max(filter(None, map(time_of, lines))) + 40 * DAY_MS
    expected = replayed(lines, tmp_path, settings, until_ms)
    with LivePipeline(settings, tmp_path / "live") as live:
        for _ in range(workers):
            live.start_worker()
        live.publish(shuffled(lines, 7 * DAY_MS - 1, seed=1))
        live.wait()
        live.advance(until_ms)
        found = live.export(tmp_path / "exported")
        for worker in list(live.workers):
            assert live.stop_worker(worker) == 0
    assert differences(expected, found, ["identities", "profiles"]) == []
    assert reasons(expected) == reasons(found)


def reasons(folder: Path) -> Counter[str]:
    """Dead letters by reason."""
    return Counter(pq.read_table(folder / "deadletters.parquet").column("reason").to_pylist())


def test_triggers_are_those_of_the_replay_when_no_event_of_a_person_overtakes_another(
    settings: Settings, tmp_path: Path
) -> None:
    lines = [line for line in lines_of(14, 50, seed=3) if time_of(line) is not None]
    until_ms = max(filter(None, map(time_of, lines))) + 40 * DAY_MS
    expected = replayed(lines, tmp_path, settings, until_ms)
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker()
        for batch in rounds(lines, expected):
            live.publish(batch)
            live.wait()
        live.advance(until_ms)
        found = live.export(tmp_path / "exported")
    assert differences(expected, found) == []
    assert pq.read_table(expected / "triggers.parquet").num_rows > 20


def rounds(lines: list[bytes], replayed: Path) -> list[list[bytes]]:
    """The lines in the order of time, in rounds: in each no person has more than one event."""
    owner = dict(zip(*(pq.read_table(replayed / "events.parquet").column(c).to_pylist() for c in ("event_id", "one_id"))))
    found: list[list[bytes]] = []
    count: Counter[str] = Counter()
    seen: set[str] = set()
    for line in sorted(lines, key=lambda line: (time_of(line), json.loads(line)["id"])):
        event_id = json.loads(line)["id"]
        person = owner.get(event_id) or "nobody"
        if event_id in seen:
            continue
        seen.add(event_id)
        place = count[person]
        count[person] += 1
        if place == len(found):
            found.append([])
        found[place].append(line)
    return found
