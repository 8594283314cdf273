"""Whoever is in memory and whoever lies on the shelf: the graph says and does the same."""

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.archive import Archive
from identity.changes import Resolution
from identity.graph import Graph
from identity.journal import Journal
from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event
from tests.identity.test_graph_property import event, follow_history, histories, random_history
from tests.identity.test_journal import content


class Shelf:
    """Records in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.get = self.rows.get

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def condemn(self, why: str) -> StateError:
        return StateError(why)

    def __iter__(self) -> Iterator[bytes]:
        yield from sorted(self.rows)


class Forgetful(Graph):
    """A graph that files now and then, and then lets people go: all, the oldest, or one here and there."""

    def __init__(self, policy: Policy, rng: random.Random, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        super().__init__(policy, shelf=self.shelf, most=10**6)
        self.rng = rng
        self.journal = Journal()
        self.keep(self.journal)

    @property
    def filing(self) -> Archive:
        assert self.archive is not None
        return self.archive

    def observe(self, event: Event) -> Resolution:
        if self.filing.changed == 0:
            self.forget()
        resolution = super().observe(event)
        self.commit()
        return resolution

    def commit(self) -> None:
        self.filing.note(self.journal)
        self.journal = Journal()
        self.keep(self.journal)
        if self.rng.random() < 0.7:
            self.file()

    def file(self) -> None:
        self.shelf.rows.update(self.filing.pack())
        self.filing.filed()

    def forget(self) -> None:
        way = self.rng.randrange(4)
        if way == 0:
            self.filing.clear()
        elif way == 1:
            self.filing._leave(self.rng.randint(0, 1 + self.filing.resident))
        elif way == 2:
            for ident in self.rng.sample(sorted(self.filing.nodes.keys()), self.filing.resident // 2):
                node = self._store.resident(ident)
                if node is not None:
                    self.filing._drop(node.group)


@settings(max_examples=200, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_after_every_step_a_graph_that_forgets_equals_the_whole_set(
    history: tuple[Policy, list[Event]], rng: random.Random
) -> None:
    follow_history(*history, Forgetful(history[0], rng))


def test_dense_histories_of_a_graph_that_forgets_equal_the_whole_set_after_every_step() -> None:
    for seed in range(120):
        policy, events = random_history(seed)
        follow_history(policy, events, Forgetful(policy, random.Random(seed)))


def test_a_graph_that_forgets_says_of_each_event_what_the_other_says() -> None:
    for seed in range(300):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        whole, other = Graph(policy), Forgetful(policy, rng)
        names = set()
        for each in events:
            assert other.lookup(each) == whole.lookup(each)
            resolution = whole.observe(each)
            assert other.observe(each) == resolution
            names |= {change.one_id for change in resolution.changes} | {resolution.one_id}
        names.discard(None)
        assert {n: other.follow(n or "") for n in names} == {n: whole.follow(n or "") for n in names}
        other.file()
        other.filing.clear()
        assert content(other) == content(whole)
        again = Forgetful(policy, rng, other.shelf)
        assert {n: again.follow(n or "") for n in names} == {n: whole.follow(n or "") for n in names}
        assert content(again) == content(whole)


def test_what_is_taken_back_never_was_whoever_is_in_memory() -> None:
    for seed in range(150):
        policy, events = random_history(seed)
        rng = random.Random(seed)
        whole, other = Graph(policy), Forgetful(policy, rng)
        while events:
            if other.filing.changed == 0:
                other.forget()
            for each in rng.sample(events, min(len(events), rng.randint(1, 6))):
                Graph.observe(other, each)
            other.undo(other.journal)
            other.journal = Journal()
            other.keep(other.journal)
            size = rng.randint(1, 6)
            for each in events[:size]:
                assert other.observe(each) == whole.observe(each)
            del events[:size]
        assert content(other) == content(whole)


def test_as_few_are_in_memory_as_were_asked_for() -> None:
    policy = random_history(1)[0]
    shelf = Shelf()
    graph = Graph(policy, shelf=shelf, most=40)
    assert graph.archive is not None
    most = 0
    for number in range(500):
        journal = Journal()
        graph.keep(journal)
        graph.observe(event(policy, f"e{number}", number, [f"m:{number}", f"p:{number}"]))
        graph.archive.note(journal)
        if graph.archive.changed >= 20:
            shelf.rows.update(graph.archive.pack())
            graph.archive.filed()
        most = max(most, graph.archive.resident, len(graph.archive.names))
    assert most <= 40 + 20
    assert len(list(graph.people())) == 500


def test_nobody_leaves_before_what_changed_is_filed() -> None:
    policy, _ = random_history(1)
    graph = Forgetful(policy, random.Random(1))
    graph.rng = random.Random(2)
    while graph.filing.changed == 0:
        graph.observe(event(policy, "e1", graph.rng.randrange(99), [f"m:{graph.rng.randrange(99)}"]))
    with pytest.raises(StateError, match="before"):
        graph.filing.clear()


@pytest.mark.parametrize("damage", [b"\xff", b"\x95\x01", b"\0m:none"])
def test_a_shelf_that_contradicts_itself_is_reported(damage: bytes) -> None:
    policy, _ = random_history(1)
    graph = Forgetful(policy, random.Random(1))
    graph.observe(event(policy, "e1", 1, ["m:1"]))
    graph.file()
    graph.filing.clear()
    graph.shelf.rows[b"m:1"] = damage
    with pytest.raises(StateError, match="contradicts itself about m:1"):
        graph.one_id("m:1")
