"""The resolver's graph goes back after an abort and starts again from a snapshot."""

import logging
import random
from pathlib import Path

import pytest

from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from stream.live_graph import LiveGraph
from tests.identity.test_graph_property import event, random_history
from tests.identity.test_journal import content
from tests.stream.test_graph_log import batches, restored, run, same

SEEDS = 60


def some(seed: int = 7) -> tuple[Policy, list[Event]]:
    policy, events = random_history(seed)
    return policy, [*events, event(policy, "last", 99, ["m:new", "p:new"])]


def saved(path: Path, seed: int = 7) -> LiveGraph:
    policy, events = some(seed)
    graph = LiveGraph(policy)
    run(graph, events)
    graph.committed()
    graph.save(path, {0: 11, 3: 5})
    return graph


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


def test_a_batch_must_end_before_the_next_begins_or_a_snapshot_is_made(tmp_path: Path) -> None:
    policy, events = some()
    graph = LiveGraph(policy)
    run(graph, events)
    with pytest.raises(StateError):
        graph.mark()
    with pytest.raises(StateError):
        graph.save(tmp_path / "graph", {})
    graph.committed()
    graph.mark()
    graph.rollback()
    graph.save(tmp_path / "graph", {})


def test_a_graph_loaded_from_its_snapshot_goes_on_as_the_graph(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        cut = rng.randint(0, len(events))
        graph, other = LiveGraph(policy), LiveGraph(policy)
        names: set[str] = set()
        for batch in batches(events[:cut], rng):
            run(graph, batch)
            names |= {one_id for one_id, _ in graph.graph.people()}
        graph.committed()
        graph.save(tmp_path / "graph", {0: seed})
        assert other.load(tmp_path / "graph") == {0: seed}
        same(graph, other, names)
        for batch in batches(events[cut:], rng):
            rows = run(graph, batch)
            if rng.random() < 0.5:
                assert sorted(run(other, batch)) == sorted(rows)
            else:
                for key, value in rows:
                    other.apply(key, value)
                other.verify()
            names |= {one_id for one_id, _ in graph.graph.people()}
        same(graph, other, names)


def test_the_records_after_a_snapshot_may_say_again_what_is_in_it(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        graph, other = LiveGraph(policy), LiveGraph(policy)
        log = [row for batch in batches(events, random.Random(seed)) for row in run(graph, batch)]
        graph.committed()
        graph.save(tmp_path / "graph", {})
        other.load(tmp_path / "graph")
        for key, value in log[len(log) // 2 :]:
            other.apply(key, value)
        other.verify()
        assert content(graph.graph) == content(other.graph)


def test_without_a_snapshot_there_is_nothing_to_load(tmp_path: Path) -> None:
    assert LiveGraph(some()[0]).load(tmp_path / "none") is None


def test_a_snapshot_of_other_settings_is_not_used(tmp_path: Path) -> None:
    saved(tmp_path / "graph")
    policy = some()[0]
    for other in (LiveGraph(Policy(policy.kinds, policy.strong, (9,) * 5, policy.hub)), LiveGraph(policy, "elsewhere")):
        assert other.load(tmp_path / "graph") is None
        assert len(other.graph) == 0


def test_a_damaged_snapshot_is_not_used_wherever_it_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = tmp_path / "graph"
    graph = saved(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        other = LiveGraph(graph.graph.policy)
        assert other.load(path) is None
        path.write_bytes(whole[:place])
        assert other.load(path) is None
        assert len(other.graph) == 0
    path.write_bytes(whole)
    assert other.load(path) == {0: 11, 3: 5}
    same(graph, other, set())


def test_a_snapshot_replaces_the_former_one_whole(tmp_path: Path) -> None:
    saved(tmp_path / "graph", 7)
    graph = saved(tmp_path / "graph", 8)
    other = LiveGraph(graph.graph.policy)
    assert other.load(tmp_path / "graph") is not None
    same(graph, other, set())
    assert [file.name for file in tmp_path.iterdir()] == ["graph"]
