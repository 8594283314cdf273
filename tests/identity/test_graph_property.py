"""The incremental graph is, after every step, what the whole set of evidence gives."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.cluster import cluster
from identity.evidence import Evidence
from identity.graph import Graph
from identity.policy import Policy
from schemas.event import Event, Link
from schemas.settings import KindSettings

KINDS = ("m", "p", "q", "d", "a")


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    small = st.sampled_from([1, 1, 2, 2, 3, 20])
    hub = st.sampled_from([None, 1, 1, 2, 3])
    strengths = draw(st.sampled_from(["sssww", "sssww", "swsws", "sssss", "wwwww"]))
    kinds = {
        kind: KindSettings(
            strength="strong" if strength == "s" else "weak", limit=draw(small), hub=None if n == 0 else draw(hub)
        )
        for n, (kind, strength) in enumerate(zip(KINDS, strengths, strict=True))
    }
    return Policy.of(kinds, max_size=draw(st.sampled_from([3, 5, 1000, 1000])))


def event(policy: Policy, event_id: str, ms: int, idents: Sequence[str]) -> Event:
    ordered = sorted(dict.fromkeys(idents), key=lambda ident: policy.place[ident[0]])
    return Event(event_id, "custom.seen", ms, tuple(ordered), None)


def command(event_id: str, ms: int, a: str, b: str, *, link: bool) -> Event:
    return Event(event_id, "customer.linked" if link else "customer.unlinked", ms, (), Link(a, b))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Policy, list[Event]]:
    policy = draw(policies())
    ident = st.builds("{}:{}".format, st.sampled_from(KINDS), st.sampled_from("123"))
    commands = draw(st.sampled_from([0, 0, 1, 3]))
    in_order = draw(st.booleans())
    events: list[Event] = []
    for number in range(draw(st.integers(1, 14))):
        ms = number if in_order else draw(st.integers(0, 8))
        event_id = f"e{draw(st.integers(0, 30)):02}" if not in_order else f"e{number:02}"
        if draw(st.integers(0, 9)) < commands:
            a, b = draw(st.lists(ident, min_size=2, max_size=2, unique=True))
            events.append(command(event_id, ms, a, b, link=draw(st.booleans())))
        else:
            events.append(event(policy, event_id, ms, draw(st.lists(ident, min_size=1, max_size=3))))
    return policy, events


def random_history(seed: int) -> tuple[Policy, list[Event]]:
    """Histories that are denser than those Hypothesis likes to draw."""
    rng = random.Random(seed)
    strengths = rng.choice(["sssww", "sssww", "swsws", "wwwww"])
    kinds = {
        kind: KindSettings(
            strength="strong" if strength == "s" else "weak",
            limit=rng.choice([1, 1, 2, 2, 3, 5, 20]),
            hub=None if n == 0 else rng.choice([None, None, 1, 2, 3, 5]),
        )
        for n, (kind, strength) in enumerate(zip(KINDS, strengths, strict=True))
    }
    policy = Policy.of(kinds, max_size=rng.choice([4, 8, 12, 1000, 1000]))
    values = rng.choice([2, 4, 8, 20])
    share = rng.choice([0, 0, 0.05, 0.2, 0.4])
    late = rng.choice([0, 0.1, 1])
    again = rng.choice([0, 0.1, 0.5])
    events = []
    for number in range(rng.choice([15, 40, 80])):
        ms = rng.randrange(60) if rng.random() < late else number
        event_id = f"e{number:03}" if rng.random() < 0.9 else f"e{rng.randrange(100):03}"
        idents = [f"{rng.choice(KINDS)}:{rng.randrange(values)}" for _ in range(rng.randint(1, 4))]
        if rng.random() < share and len(set(idents)) > 1:
            a, b = sorted(set(idents))[:2]
            events.append(command(event_id, ms, a, b, link=rng.random() < 0.6))
        elif events and rng.random() < again:
            former = rng.choice(events)
            earlier = max(0, former.time_ms - rng.randrange(40))
            events.append(Event(event_id, former.type, earlier, former.idents, former.data))
        else:
            events.append(event(policy, event_id, ms, idents))
    return policy, events


def follow_history(policy: Policy, events: list[Event], graph: Graph | None = None) -> None:
    """Feed a graph and compare it after every step with the whole set; check what each step reports."""
    if graph is None:
        graph = Graph(policy)
    evidence = Evidence(policy)
    owner: dict[str, str] = {}
    parts: dict[str, str] = {}
    refused: set[tuple[str, str, str]] = set()
    ever: dict[str, str] = {}
    for one in events:
        known = graph.lookup(one)
        resolution = graph.observe(one)
        evidence.add(one)
        people = cluster(evidence, policy)
        assert dict(graph.people()) == {one_id: list(idents) for one_id, idents in people.groups.items()}
        assert {ident: graph.one_id(ident) for ident in evidence.seen} == people.owner
        assert {(r.strength, r.lo, r.hi): r.reason for r in graph.refused()} == people.refused()
        assert graph.hubs() == list(people.hubs)
        assert list(graph.evidence()) == list(evidence.rows())
        for part, one_id in parts.items():
            moved = [move for move in resolution.moves if move.part == part]
            if one_id == people.owner[part]:
                assert not moved
            else:
                assert [(m.from_one_id, m.to_one_id) for m in moved] == [(one_id, people.owner[part])]
        if one.idents:
            assert resolution.one_id == people.owner[one.idents[0]]
            created = [move.part for move in resolution.moves if move.from_one_id is None]
            assert created == ([] if one.idents[0] in parts else [one.idents[0]])
            parts[one.idents[0]] = people.owner[one.idents[0]]
        assert [m.part for m in resolution.moves] == sorted(m.part for m in resolution.moves)
        parts = {part: people.owner[part] for part in parts}
        if known is not None:
            assert (known, [], []) == (resolution.one_id, resolution.moves, resolution.changes)
            assert owner == people.owner
        gone = set(owner.values()) - set(people.owner.values())
        merged = {change.other_one_id for change in resolution.changes if change.kind == "merged"}
        assert merged == gone
        for change in resolution.changes:
            assert (change.at_ms, change.event_id) == (one.time_ms, one.id)
            assert change.one_id in people.groups
            if change.kind == "merged":
                assert change.other_one_id is not None
                assert graph.follow(change.other_one_id) == change.one_id
            if change.kind == "split":
                assert change.other_one_id in people.groups
        now = set(people.refused())
        seen_refusals = [change for change in resolution.changes if change.kind == "refused"]
        new = [r for r in now - refused if r[1] in people.owner or r[2] in people.owner]
        assert len(new) <= len(seen_refusals) <= len(now - refused)  # some are between what only commands named
        refused = now
        owner = people.owner
        for one_id, idents in people.groups.items():
            ever[one_id] = graph.oldest(one_id)
            assert graph.oldest(one_id) in idents
            assert graph.members(one_id) == list(idents)
        for one_id, oldest in ever.items():
            assert graph.follow(one_id) == people.owner[oldest]
            assert one_id in people.groups or graph.members(one_id) == []


@settings(max_examples=400, deadline=None)
@given(histories())
def test_after_every_step_the_graph_equals_the_whole_set(history: tuple[Policy, list[Event]]) -> None:
    follow_history(*history)


def test_dense_histories_equal_the_whole_set_after_every_step() -> None:
    for seed in range(200):
        follow_history(*random_history(seed))


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetition_change_nothing(
    history: tuple[Policy, list[Event]], rng: random.Random
) -> None:
    policy, events = history
    graph, shuffled = Graph(policy), Graph(policy)
    for one in events:
        graph.observe(one)
    again = [*events, *rng.choices(events, k=3)]
    rng.shuffle(again)
    for one in again:
        shuffled.observe(one)
    assert list(graph.people()) == list(shuffled.people())
    assert list(graph.evidence()) == list(shuffled.evidence())
    assert list(graph.refused()) == list(shuffled.refused())
