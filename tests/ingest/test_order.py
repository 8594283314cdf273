"""The same id twice, in any order of the input, in memory and on disk."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import order as order_module
from ingest.admit import Admission
from ingest.order import EventSorter, Refused
from ingest.spill import Spill
from schemas.content import content_key
from schemas.settings import Settings

GATE = Admission(Settings())


def line(event_id: str, time: Any, page: Any = "/", **more: Any) -> bytes:
    event = {"id": event_id, "type": "page.viewed", "time": time, "identifiers": {"member_id": "m1"}}
    return json.dumps(event | {"data": {"url": page}} | more).encode()


def sort(
    lines: list[bytes], buffer_bytes: int = 1 << 20, until_ms: int | None = None, folder: Path | None = None
) -> Any:
    refused: list[Refused] = []
    with EventSorter(Settings(), buffer_bytes, folder) as sorter:
        for number, raw in enumerate(lines, 1):
            sorter.add(raw, 0, number, raw)
        events = [(event.time_ms, event.id, event.data.url) for event in sorter.sorted(until_ms, refused.append)]
        counts = (sorter.duplicates, sorter.conflicts, sorter.later)
    return events, Counter(one.raw for one in refused), counts


def obvious(lines: list[bytes]) -> Any:
    """The rule, written plainly."""
    by_id: dict[str, list[tuple[int, bytes]]] = {}
    for raw in lines:
        event = GATE.admit(raw)
        by_id.setdefault(event.id, []).append((event.time_ms, raw))
    events, refused, duplicates = [], [], 0
    for event_id, same in by_id.items():
        same.sort()
        seen = {content_key(same[0][1])}
        events.append((same[0][0], event_id, GATE.admit(same[0][1]).data.url))
        for _, raw in same[1:]:
            if content_key(raw) in seen:
                duplicates += 1
            else:
                seen.add(content_key(raw))
                refused.append(raw)
    return sorted(events), Counter(refused), (duplicates, len(refused), 0)


SPELLED = st.sampled_from(
    [1000, 2000, "1970-01-01T00:00:01Z", "1970-01-01T01:00:01.0009+01:00", "1970-01-01T00:00:02Z"]
)
LINE = st.builds(
    line, st.sampled_from("abc"), SPELLED, st.sampled_from(["/", "/x", "/y"]), source=st.sampled_from(["s", "t"])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, max_size=14), st.randoms(use_true_random=False), st.sampled_from([1, 2000, 1 << 20]))
def test_any_order_and_any_buffer_give_what_the_rule_says(lines: list[bytes], rng: random.Random, buffer: int) -> None:
    wanted = obvious(lines)
    shuffled = list(lines)
    rng.shuffle(shuffled)
    assert sort(lines, buffer) == wanted
    assert sort(shuffled, buffer) == wanted


def test_ids_with_several_times_are_found_on_disk_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(order_module, "PAIRS", 7)
    lines = [line(f"e{n % 40}", 1000 + n // 40 * (n % 3)) for n in range(200)]
    assert sort(lines, 3000, folder=tmp_path) == obvious(lines)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_after_the_end_is_counted_and_still_settled() -> None:
    lines = [line("a", 1000), line("b", 3000), line("b", 3000), line("a", 3000)]
    events, refused, counts = sort(lines, until_ms=2000)
    assert events == [(1000, "a", "/")]
    assert refused == Counter([lines[3]])
    assert counts == (1, 1, 1)


@pytest.mark.parametrize("until_ms", [None, 1500])
def test_a_line_that_is_no_event_takes_no_id_and_is_refused_every_time(until_ms: int | None) -> None:
    broken = line("a", 1000, "/", type="no.such")
    lines = [broken, line("a", 1000), broken, line("a", 2000), line("b", 2000, identifiers={})]
    events, refused, counts = sort(lines, until_ms=until_ms)
    assert events == [(1000, "a", "/")]
    assert refused == Counter([broken, broken, lines[3], lines[4]])
    assert counts == (0, 1, 0)


def test_identifiers_are_counted_as_ignored_only_for_events_that_are_accepted() -> None:
    def with_fax(event_id: str, time: int, page: str = "/") -> bytes:
        return line(event_id, time, page, identifiers={"member_id": "m1", "fax": "1"})

    with EventSorter(Settings()) as sorter:
        for number, raw in enumerate([with_fax("a", 1), with_fax("a", 1, "/x"), with_fax("b", 9)]):
            sorter.add(raw, 0, number, raw)
        assert len(list(sorter.sorted(5, lambda refused: None))) == 1
        assert sorter.ignored == {("fax", "undeclared"): 1}


def test_the_end_is_inclusive() -> None:
    assert len(sort([line("a", 1000)], until_ms=1000)[0]) == 1


def test_a_conflict_is_told_with_the_bytes_of_its_row() -> None:
    first, second = line("a", 1000), line("a", 1000, "/x")
    with EventSorter(Settings()) as sorter:
        sorter.add(first, 3, 5, b"row one")
        sorter.add(second, 3, 6, b"row two")
        refused: list[Refused] = []
        assert len(list(sorter.sorted(None, refused.append))) == 1
    assert [(one.source, one.number, one.raw, one.why.reason) for one in refused] == [(3, 6, b"row two", "id_conflict")]


def test_runs_are_merged_in_levels(tmp_path: Path) -> None:
    rows = [(n * 7919 % 20011, b"x" * (n % 50)) for n in range(20_000)]
    with Spill(tuple[int, bytes], 40_000, tmp_path) as spill:
        for row in rows:
            spill.add(row, 0)
        assert spill.spilled
        assert sum(1 for _ in tmp_path.rglob("*.run")) < 70
        assert list(spill.rows()) == sorted(rows)
        assert list(spill.rows()) == sorted(rows)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_megabytes_are_kept_whole(tmp_path: Path) -> None:
    rows = [(n, bytes([n]) * 1_000_000) for n in (3, 1, 2)]
    with Spill(tuple[int, bytes], 1_500_000, tmp_path) as spill:
        for row in rows:
            spill.add(row, len(row[1]))
        assert list(spill.rows()) == sorted(rows)
