"""What goes to the log of the graph is the graph."""

import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from stream.graph_log import Record, read_node
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph
from tests.identity.test_graph_property import event, histories, random_history
from tests.identity.test_journal import content

SEEDS = 60


def run(graph: LiveGraph, events: list[Event]) -> list[Record]:
    """Work a batch off as the resolver does, the one before being committed; return its records."""
    graph.committed()
    graph.mark()
    for each in events:
        if graph.observe(each).moves:
            graph.next_step()
    return graph.changed()


def batches(events: list[Event], rng: random.Random) -> list[list[Event]]:
    found = []
    while events:
        size = rng.randint(1, 8)
        found.append(events[:size])
        events = events[size:]
    return found


def restored(policy: Policy, log: dict[bytes, bytes], rng: random.Random) -> LiveGraph:
    graph = LiveGraph(policy)
    rows = list(log.items())
    rng.shuffle(rows)
    for key, value in rows:
        graph.apply(key, value)
    graph.verify()
    return graph


def same(one: LiveGraph, other: LiveGraph, names: set[str]) -> None:
    assert content(one.graph) == content(other.graph)
    assert one.step == other.step
    assert {name: one.graph.follow(name) for name in names} == {name: other.graph.follow(name) for name in names}


def restore_and_go_on(policy: Policy, events: list[Event], rng: random.Random) -> None:
    """Restore at a random moment; from then on both must say the same."""
    first = LiveGraph(policy)
    log: dict[bytes, bytes] = {}
    names: set[str] = set()
    cut = rng.randint(0, len(events))
    for batch in batches(events[:cut], rng):
        log.update(run(first, batch))
        names |= {one_id for one_id, _ in first.graph.people()}
        if rng.random() < 0.3:  # a batch that is aborted leaves nothing
            run(first, events[cut : cut + 4])
            first.rollback()
    second = restored(policy, log, rng)
    same(first, second, names)
    assert {key for key, _ in run(second, events[:cut])} <= {b"\0step"}
    second.rollback()
    for each in events[cut:]:
        assert second.graph.lookup(each) == first.graph.lookup(each)
        assert sorted(run(first, [each])) == sorted(run(second, [each]))
    same(first, second, names)


@settings(max_examples=80, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_a_graph_restored_from_its_log_goes_on_as_the_graph(
    history: tuple[Policy, list[Event]], rng: random.Random
) -> None:
    restore_and_go_on(*history, rng)


def test_a_graph_restored_from_its_log_goes_on_as_the_graph_in_dense_histories() -> None:
    for seed in range(SEEDS):
        restore_and_go_on(*random_history(seed), random.Random(seed))


def test_records_on_top_of_a_graph_bring_it_to_the_same() -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        cut = rng.randint(0, len(events))
        ahead, behind = LiveGraph(policy), LiveGraph(policy)
        names: set[str] = set()
        for place, batch in enumerate(batches(events, rng)):
            rows = run(ahead, batch)
            names |= {one_id for one_id, _ in ahead.graph.people()}
            if place < cut:
                assert run(behind, batch) == rows
            else:
                rng.shuffle(rows)
                for key, value in rows:
                    behind.apply(key, value)
        behind.verify()
        same(ahead, behind, names)


def test_a_record_is_written_only_when_it_says_something_new() -> None:
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        graph = LiveGraph(policy)
        log: dict[bytes, bytes] = {}
        for batch in batches(events, random.Random(seed)):
            rows = run(graph, batch)
            assert len(dict(rows)) == len(rows)
            assert not [key for key, value in rows if log.get(key) == value and not key.startswith(b"\0alias")]
            log.update(rows)


def test_people_that_the_evidence_does_not_give_are_not_taken_over() -> None:
    policy, _ = random_history(1)
    graph = LiveGraph(policy)
    log = dict(run(graph, [event(policy, "e1", 1, ["m:1", "p:1"])]))
    log[b"p:1"] = log[b"p:1"].replace(read_node(log[b"p:1"]).one_id.encode(), b"someone else")
    with pytest.raises(StateError, match="someone else"):
        restored(policy, log, random.Random(1))


@pytest.mark.parametrize(
    "row",
    [(b"m:1\0p:1", b'{"ms":1,"id":"e"}'), (b"x:1", b'{"one_id":"a","first_ms":1,"first_id":"e","has_part":true}')],
)
def test_records_that_do_not_fit_together_stop_the_start(row: Record) -> None:
    with pytest.raises(StateError):
        restored(random_history(1)[0], dict([row]), random.Random(1))


@pytest.mark.parametrize("row", [(b"m:1", b"{}"), (b"m:1\0p:1\0x", b"{}"), (b"\xff", b"{}"), (b"\0step", b"7")])
def test_foreign_records_stop_the_start(row: Record) -> None:
    with pytest.raises(StateError, match="not Kith's"):
        restored(random_history(1)[0], dict([row]), random.Random(1))


def look_up_everywhere(policy: Policy, events: list[Event], rng: random.Random, view: GraphView) -> None:
    graph = LiveGraph(policy)
    every: list[Record] = []
    for batch in batches(events, rng):
        rows = run(graph, batch)
        every += rows
        rng.shuffle(rows)
        view.apply(0, rows, len(every))
        for each in rng.choices(events, k=8):
            probe = Event(each.id, each.type, each.time_ms + rng.choice([-1, 0, 0, 5]), each.idents, each.data)
            assert view.lookup(probe) == graph.graph.lookup(probe)
    for one_id, members in graph.graph.people():
        assert view.follow(one_id) == one_id
        assert {view.one_id(ident) for ident in members} == {one_id}
    assert {view.one_id(ident) for ident in ("m:none", "x:none")} == {None}
    for key, value in every:
        if not key.startswith(b"\0") and b"\0" not in key:
            former = read_node(value).one_id
            assert view.follow(former) == graph.graph.follow(former)
    assert view.offsets == ({0: len(every)} if events else {})


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_a_copy_that_has_every_record_answers_as_the_graph(
    history: tuple[Policy, list[Event]], rng: random.Random
) -> None:
    look_up_everywhere(*history, rng, GraphView())


def test_a_copy_on_disk_answers_as_the_graph_however_few_rows_it_holds_decoded(tmp_path: Path) -> None:
    for seed in range(20):
        view = GraphView(tmp_path / str(seed), max_rows=16)
        look_up_everywhere(*random_history(seed), random.Random(seed), view)
        view.close()


def test_an_old_copy_never_finds_a_person_where_the_graph_sees_news() -> None:
    found = 0
    for seed in range(SEEDS):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        graph, view = LiveGraph(policy), GraphView()
        waiting: list[list[Record]] = [[], [], []]
        for batch in batches(events, rng):
            for key, value in run(graph, batch):
                waiting[zlib.crc32(key) % 3].append((key, value))
            for number, rows in enumerate(waiting):
                taken = rng.randint(0, len(rows))
                view.apply(number, rows[:taken], 0)
                del rows[:taken]
            for each in events:
                if view.lookup(each) is not None:
                    found += 1
                    assert graph.graph.lookup(each) is not None
    assert found > 500


def test_a_copy_on_disk_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    policy, events = random_history(3)
    graph, view = LiveGraph(policy), GraphView(tmp_path / "view")
    view.apply(2, run(graph, events), 17)
    answers = [view.lookup(each) for each in events]
    view.close()
    view = GraphView(tmp_path / "view")
    assert view.offsets == {2: 17}
    assert [view.lookup(each) for each in events] == answers
    with pytest.raises(StateError, match="in use"):
        GraphView(tmp_path / "view")
    view.close()


def test_a_copy_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    view = GraphView(tmp_path / "view")
    view.apply(0, [(b"m:1", b'{"one_id":"a","first_ms":1,"first_id":"e","has_part":true}')], 1)
    view.close()
    for file in (tmp_path / "view").iterdir():
        if file.name.startswith(("MANIFEST", "CURRENT")):
            file.write_bytes(b"nonsense")
    view = GraphView(tmp_path / "view")
    assert view.offsets == {}
    assert view.one_id("m:1") is None
    view.close()
