"""The resolver's graph goes back after an abort, and starts again from its store and its log."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from schemas.settings import KindSettings
from stream.graph_log import ALIAS, Record, read_node
from stream.graph_rows import DiskRows, MemoryRows, Rows
from stream.live_graph import LiveGraph, open_rows
from tests.identity.test_graph_property import event, random_history
from tests.identity.test_journal import content
from tests.stream.test_graph_log import batches, restored, run, same

SEEDS = 60


def some(seed: int = 7) -> tuple[Policy, list[Event]]:
    policy, events = random_history(seed)
    return policy, [*events, event(policy, "last", 99, ["m:new", "p:new"])]


def filed(rows: Rows, seed: int = 7) -> LiveGraph:
    policy, events = some(seed)
    graph = LiveGraph(policy, rows=rows)
    run(graph, events)
    graph.committed({0: 10, 3: 4})
    graph.file()
    return graph


def on_disk(path: Path) -> DiskRows:
    return open_rows(path, memory_mb=4)


def test_an_aborted_batch_gives_the_same_records_when_it_comes_again() -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        graph, log = LiveGraph(policy), {}
        for batch in batches(events, rng):
            aborted = run(graph, batch)
            graph.rollback()
            assert graph.changed() == []
            assert sorted(run(graph, batch)) == sorted(aborted)
            log.update(aborted)
        other = restored(policy, log, rng)
        same(graph, other, {one_id for one_id, _ in graph.graph.people()})


@pytest.mark.parametrize("idents", [("x:1",), ("m:1", "x:1"), ("m:new", "x:1"), ("m:1", "p:1", "x:1")])
def test_a_batch_that_an_event_breaks_can_be_taken_back(idents: tuple[str, ...]) -> None:
    policy, events = some()
    graph = LiveGraph(policy)
    run(graph, events)
    graph.committed()
    before = content(graph.graph)
    graph.observe(event(policy, "before", 5, ["m:1", "q:8"]))
    with pytest.raises(KeyError):
        graph.observe(Event("bad", "custom.seen", 1, idents, None))
    graph.rollback()
    assert content(graph.graph) == before


def test_a_batch_must_end_before_the_next_begins_or_the_graph_is_filed() -> None:
    policy, events = some()
    graph = LiveGraph(policy, rows=MemoryRows())
    run(graph, events)
    with pytest.raises(StateError):
        graph.mark()
    with pytest.raises(StateError):
        graph.file()
    graph.committed()
    graph.mark()
    graph.rollback()
    graph.file()


@pytest.mark.parametrize("most", [1, 10, 1000])
def test_a_graph_from_its_store_goes_on_as_the_graph(most: int) -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        cut = rng.randint(0, len(events))
        whole, rows, names = LiveGraph(policy), MemoryRows(), set()
        graph = LiveGraph(policy, rows=rows, most=most)
        for batch in batches(events[:cut], rng):
            assert sorted(run(graph, batch)) == sorted(run(whole, batch))
            names |= {one_id for one_id, _ in whole.graph.people()}
            graph.committed()
            if rng.random() < 0.5:
                graph.file()
        graph.committed({0: seed})
        graph.file()
        other = LiveGraph(policy, rows=rows, most=most)
        assert other.offsets == {0: seed + 1}
        for batch in batches(events[cut:], rng):
            found = run(whole, batch)
            if rng.random() < 0.5:
                assert sorted(run(other, batch)) == sorted(found)
                other.committed()
            else:
                for key, value in found:
                    other.apply(key, value)
                other.verify()
            names |= {one_id for one_id, _ in whole.graph.people()}
        same(whole, other, names)


def test_records_may_say_again_what_the_store_has() -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rows = MemoryRows()
        graph = LiveGraph(policy, rows=rows, most=5)
        log = [row for batch in batches(events, random.Random(seed)) for row in run(graph, batch)]
        graph.committed()
        graph.file()
        other = LiveGraph(policy, rows=rows, most=5)
        for key, value in log[len(log) // 2 :]:
            other.apply(key, value)
        other.verify()
        assert content(graph.graph) == content(other.graph)


def sorted_on_disk(policy: Policy, log: Iterable[Record], rows: MemoryRows, scratch: Path) -> LiveGraph:
    graph = LiveGraph(policy, rows=rows, most=7, scratch=scratch)
    for key, value in log:
        graph.apply(key, value)
    assert graph._spool is not None
    graph.verify()
    assert list(scratch.iterdir()) == []
    return graph


@pytest.mark.parametrize("share", [1, 3, 1000])
def test_a_graph_from_more_records_than_fit_in_memory_is_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    monkeypatch.setattr("stream.live_graph.AT_ONCE", 3)
    monkeypatch.setattr("stream.graph_restore.SHARE", share)
    monkeypatch.setattr("stream.graph_spool.SHARE", 4)
    for seed in range(25):
        policy, events = some(seed)
        rng = random.Random(seed)
        graph, behind, log, names = LiveGraph(policy), MemoryRows(), [], set()
        begin = LiveGraph(policy, rows=behind)
        cut = rng.choice([0, rng.randint(0, len(events))])  # the store is empty, or behind
        for place, batch in enumerate(batches(events, rng)):
            found = run(graph, batch)
            names |= {one_id for one_id, _ in graph.graph.people()}
            if place < cut:
                run(begin, batch)
            else:
                rng.shuffle(found)
                log += found
        if cut:
            begin.committed()
            begin.file()
        last = dict(log)
        log = [(key, value) for key, value in log if last[key] is value or rng.random() < 0.7]
        if len(log) < 3:
            continue
        other = sorted_on_disk(policy, log, behind, tmp_path)
        same(graph, other, names)
        former = {one_id: graph.graph.follow(one_id) for one_id in names}
        assert all(other.graph.follow(one_id) == person for one_id, person in former.items())
        again = LiveGraph(policy, rows=behind)
        same(graph, again, names)
        probe = [event(policy, "z", 100, ["m:1", "p:1"]), event(policy, "zz", 1, ["q:0", "d:0", "m:2"])]
        assert sorted(run(again, probe)) == sorted(run(graph, probe))


def test_people_that_were_not_there_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the evidence comes in, only OneIDs that there were are known."""
    monkeypatch.setattr("stream.live_graph.AT_ONCE", 3)
    monkeypatch.setattr("stream.graph_restore.SHARE", 1)
    for seed in range(25):
        policy, events = random_history(seed)
        graph, rows = LiveGraph(policy), MemoryRows()
        log = run(graph, events)
        if len(log) < 3:
            continue
        known = {read_node(value).one_id for key, value in log if b"\0" not in key}
        known |= {key[len(ALIAS) :].decode() for key, _ in log if key.startswith(ALIAS)}
        sorted_on_disk(policy, log, rows, tmp_path)
        assert {key[1:].decode() for key in rows if key.startswith(b"\0")} == known


def test_other_people_than_the_records_say_are_not_taken_over_however_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.live_graph.AT_ONCE", 2)
    policy = Policy.of({"m": KindSettings(strength="strong", limit=1), "p": KindSettings(strength="strong", limit=5)})
    apart = LiveGraph(policy)
    log = run(apart, [event(policy, "e1", 1, ["m:1", "p:1"]), event(policy, "e2", 2, ["m:2", "p:1"])])
    looser = Policy.of({"m": KindSettings(strength="strong", limit=2), "p": KindSettings(strength="strong", limit=5)})
    rows = MemoryRows()
    with pytest.raises(StateError, match="set identity and space as they were"):
        sorted_on_disk(looser, log, rows, tmp_path)
    assert rows.note is not None
    assert LiveGraph(looser, rows=rows).offsets == {}  # what was begun is not taken for a whole
    assert rows.note is None
    log = [row for row in log if row[0] != b"p:1"]
    with pytest.raises(StateError, match="was never seen"):
        sorted_on_disk(policy, log, MemoryRows(), tmp_path)


def test_a_record_that_is_gone_is_gone_from_what_was_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.live_graph.AT_ONCE", 2)
    policy, _ = random_history(1)
    apart = LiveGraph(policy)
    log = run(apart, [event(policy, "e1", 1, ["m:1"]), event(policy, "e2", 2, ["m:2", "p:2"])])
    graph = LiveGraph(policy, rows=MemoryRows(), scratch=tmp_path)
    for key, value in [*log, (b"m:1", None), (b"p:9", None), (b"m:2\0p:9", None), (ALIAS + b"x", None)]:
        graph.apply(key, value)
    graph.verify()
    assert [members for _, members in graph.graph.people()] == [["m:2", "p:2"]]


def test_a_store_of_other_settings_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    policy = some()[0]
    for other, space in (
        (Policy(policy.kinds, policy.strong, (9,) * 5, policy.hub), "default"),
        (policy, "elsewhere"),
    ):
        rows = MemoryRows()
        filed(rows)
        graph = LiveGraph(other, space, rows)
        assert (graph.offsets, graph.step, len(graph.graph), rows.note) == ({}, 0, 0, None)
    assert "of other settings" in caplog.text


def test_a_store_on_disk_is_there_after_it_was_closed_or_killed(tmp_path: Path) -> None:
    graph = filed(MemoryRows())
    rows = on_disk(tmp_path / "graph")
    filed(rows)
    rows.close()
    rows = on_disk(tmp_path / "graph")
    other = LiveGraph(graph.graph.policy, rows=rows, most=1)
    assert other.offsets == {0: 11, 3: 5}
    same(graph, other, set())
    rows.close()
    code = (
        f"import os, signal, sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path; from tests.stream.test_live_graph import filed, on_disk\n"
        f"filed(on_disk(Path({str(tmp_path / 'killed')!r}))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -signal.SIGKILL
    rows = on_disk(tmp_path / "killed")
    other = LiveGraph(graph.graph.policy, rows=rows)
    assert other.offsets == {0: 11, 3: 5}
    same(graph, other, set())
    rows.close()


def test_a_damaged_store_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = on_disk(tmp_path / "graph")
    filed(rows)
    rows.close()
    for file in (tmp_path / "graph").iterdir():
        if file.name.startswith(("MANIFEST", "CURRENT")):
            file.write_bytes(b"nonsense")
    rows = on_disk(tmp_path / "graph")
    assert (rows.note, list(rows)) == (None, [])
    assert "wiped and restored" in caplog.text
    rows.close()


def test_a_store_that_contradicts_itself_is_made_anew_at_the_next_start(tmp_path: Path) -> None:
    rows = on_disk(tmp_path / "graph")
    policy = filed(rows).graph.policy
    assert rows.note is not None
    rows.write({b"m:new": b"\0p:none"}, rows.note)
    with pytest.raises(StateError, match=r"contradicts itself about m:new.*start again, it is then restored"):
        LiveGraph(policy, rows=rows).graph.one_id("m:new")
    rows.close()
    rows = on_disk(tmp_path / "graph")
    assert LiveGraph(policy, rows=rows).offsets == {}
    rows.close()
