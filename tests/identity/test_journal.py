"""A graph that went back is the graph that was."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.graph import Graph
from identity.journal import Journal
from identity.policy import Policy
from schemas.event import Event
from tests.identity.test_graph_property import histories, random_history


def content(graph: Graph) -> dict[str, Any]:
    idents = [ident for _, members in graph.people() for ident in members]
    return {
        "people": list(graph.people()),
        "evidence": list(graph.evidence()),
        "refused": list(graph.refused()),
        "hubs": graph.hubs(),
        "parts": [ident for ident in idents if graph.has_part(ident)],
        "size": len(graph),
    }


def go_back_and_on(policy: Policy, events: list[Event], rng: random.Random) -> None:
    """Feed two graphs, of which one goes ahead and back again and again; they must be and say the same."""
    straight, other = Graph(policy), Graph(policy)
    names: set[str] = set()
    place = 0
    while place < len(events):
        before = content(other)
        journal = Journal()
        other.keep(journal)
        ahead = events[place : place + rng.randint(1, 12)]
        rng.shuffle(ahead)
        ever = {resolution.one_id for resolution in map(other.observe, ahead)}
        other.undo(journal)
        other.keep(rng.choice([None, Journal()]))
        assert content(other) == before
        assert {one_id for one_id in ever if one_id is not None and other.follow(one_id) is not None} <= names
        for event in events[place : place + rng.randint(1, 12)]:
            assert other.lookup(event) == straight.lookup(event)
            resolution = straight.observe(event)
            assert other.observe(event) == resolution
            names |= {one_id for one_id, _ in straight.people()}
            place += 1
        assert content(other) == content(straight)
        assert {one_id: other.follow(one_id) for one_id in names} == {i: straight.follow(i) for i in names}


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_going_back_leaves_no_trace(history: tuple[Policy, list[Event]], rng: random.Random) -> None:
    go_back_and_on(*history, rng)


def test_going_back_leaves_no_trace_in_dense_histories() -> None:
    for seed in range(120):
        go_back_and_on(*random_history(seed), random.Random(seed))
