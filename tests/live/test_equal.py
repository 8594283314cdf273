"""The live pipeline gives what the replay gives: real processes, a real Kafka, the same rows."""

import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.crash import check
from bench.pipeline import LivePipeline, differences
from cli.workers import PEOPLE
from ingest.admit import Admission
from ingest.generator import generate
from schemas.errors import InvalidEvent
from schemas.event import Link
from schemas.settings import Settings
from stream.replay import replay

DAY_MS = 86_400_000
ADMISSION = Admission(Settings())


def lines_of(customers: int, days: int, seed: int) -> list[bytes]:
    return [bytes(line).rstrip(b"\n") for line in generate(customers, days, seed)]


def replayed(lines: list[bytes], folder: Path, settings: Settings, until_ms: int) -> Path:
    source = folder / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    replay([str(source)], folder / "replayed", settings, until_ms=until_ms)
    return folder / "replayed"


def time_of(line: bytes) -> int | None:
    """The time of a valid event in ms, None for anything else."""
    try:
        return ADMISSION.admit(line).time_ms
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
    lines = few_each([line for line in lines_of(25, 90, seed=3) if time_of(line) is not None], most=3)
    until_ms = max(filter(None, map(time_of, lines))) + 40 * DAY_MS
    expected = replayed(lines, tmp_path, settings, until_ms)
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker(PEOPLE)  # the lake would be waited for in every round
        for batch in rounds(lines):
            live.publish(batch)
            live.wait()
        live.advance(until_ms)
        found = live.export(tmp_path / "exported")
    assert differences(expected, found) == []
    assert pq.read_table(expected / "triggers.parquet").num_rows > 20


def test_a_file_in_the_order_of_time_published_in_one_go_gives_the_triggers_of_the_replay(
    settings: Settings, tmp_path: Path
) -> None:
    lines = sorted((line for line in lines_of(60, 120, seed=6) if time_of(line) is not None), key=time_of)
    late = lines.pop(len(lines) // 2)
    lines.insert(len(lines) * 3 // 4, late)
    until_ms = time_of(lines[-1]) + 40 * DAY_MS
    expected = replayed(lines, tmp_path, settings, until_ms)
    with LivePipeline(settings, tmp_path / "live") as live:
        for _ in range(2):
            live.start_worker(PEOPLE)
        live.publish(lines)
        live.wait()
        live.advance(until_ms)
        found = live.export(tmp_path / "exported")
    assert check(expected, found) == []  # but for people with late events
    named = pq.read_table(found / "late_events.parquet")
    assert ADMISSION.admit(late).id in named.column("event_id").to_pylist()
    assert named.num_rows < len(lines) / 20  # events by two ways may still overtake each other, but hardly ever do
    assert pq.read_table(expected / "triggers.parquet").num_rows > 100


def few_each(lines: list[bytes], most: int) -> list[bytes]:
    """At most so many events of each first identifier, so that there are few rounds."""
    count: Counter[str] = Counter()
    found = []
    for line in lines:
        idents = ADMISSION.admit(line).idents
        count[idents[0] if idents else ""] += 1
        if count[idents[0] if idents else ""] <= most:
            found.append(line)
    return found


def rounds(lines: list[bytes]) -> list[list[bytes]]:
    """The lines in the order of time, in rounds.

    In each there is at most one event of all identifiers that any chain of events connects: those of a shared phone
    are one person for a while, before it counts as shared.
    """
    events = {event.id: (event, line) for line in lines for event in (ADMISSION.admit(line),)}
    group: dict[str, str] = {}

    def find(ident: str) -> str:
        while group.setdefault(ident, ident) != ident:
            ident = group[ident]
        return ident

    for event, _ in events.values():
        link = [event.data.a, event.data.b] if isinstance(event.data, Link) else []
        for ident in (*event.idents, *link):
            group[find(ident)] = find((*event.idents, *link)[0])
    found: list[list[bytes]] = []
    count: Counter[str] = Counter()
    for event, line in sorted(events.values(), key=lambda pair: (pair[0].time_ms, pair[0].id)):
        one = find(event.data.a if isinstance(event.data, Link) else event.idents[0])
        if count[one] == len(found):
            found.append([])
        found[count[one]].append(line)
        count[one] += 1
    return found
