"""Parts follow their people whoever acts first, whoever crashes and however old the copies of the graph are."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest

from identity.policy import kind_of
from ingest.admit import Admission
from schemas.errors import InvalidEvent
from schemas.event import Event
from schemas.settings import Settings
from stream.graph_rows import MemoryRows
from stream.memory import MemoryPipeline
from tests.identity.test_journal import content
from tests.reference.generate import START, generate
from tests.stream.custody import World
from tests.stream.helpers import pipeline, rows_of

SETTINGS = Settings(horizon_days=400)
HOUR = 3_600_000

Build = Callable[..., World]


@pytest.fixture
def build() -> Iterator[Build]:
    worlds: list[World] = []

    def make(seed: int, **options: Any) -> World:
        worlds.append(World(seed, SETTINGS, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def admitted(lines: list[bytes]) -> list[Event]:
    admission = Admission(SETTINGS)
    events: dict[str, Event] = {}
    for line in lines:
        try:
            event = admission.admit(line)
        except InvalidEvent:
            continue
        events.setdefault(event.id, event)
    return sorted(events.values(), key=lambda event: (event.time_ms, event.id))


def events_of(seed: int, count: int) -> list[Event]:
    return admitted(list(generate(seed, count)))


def chains_of(seed: int, count: int = 140) -> list[Event]:
    """Few members who are linked in chains and unlinked right after, while their events go on; hours apart."""
    rng = random.Random(seed)
    ends = [
        {"kind": kind, "value": f"{number}" if kind != "phone" else f"1390000{number:04d}"}
        for number in range(4)
        for kind in ("member_id", "phone", "device_id")
    ]
    shown = [(end,) for end in ends] + [tuple(rng.sample(ends, 2)) for _ in range(6)]
    lines: list[bytes] = []

    def add(kind: str, **rest: Any) -> None:
        number = len(lines)
        time = START + number * 2 * HOUR + rng.randrange(HOUR)
        lines.append(json.dumps({"id": f"e{number:03}", "type": kind, "time": time, "source": "t", **rest}).encode())

    while len(lines) < count:
        if rng.random() < 0.25:
            chain = rng.sample(ends, rng.randint(2, 5))
            pairs = list(pairwise(chain))
            for a, b in pairs:
                add("customer.linked", data={"a": a, "b": b})
            if rng.random() < 0.7:
                a, b = rng.choice(pairs)
                add("customer.unlinked", data={"a": a, "b": b})
        else:
            identifiers = {end["kind"]: end["value"] for end in rng.choice(shown)}
            item = {"sku": f"S{rng.randrange(3)}", "quantity": 1, "unit_price": "10"}
            order = {"order_id": f"o{len(lines)}", "items": [item], "amount": "10", "currency": "CNY"}
            kind, data = rng.choice([("cart.added", item), ("cart.added", item), ("order.paid", order)])
            add(kind, identifiers=identifiers, data=data)
    return admitted(lines)


def muddled(events: list[Event], rng: random.Random) -> list[Event]:
    """Events again and out of order: either a little, or wholly."""
    stream = [*events, *(event for event in events if rng.random() < 0.3)]
    if rng.random() < 0.3:
        rng.shuffle(stream)
    for place in range(len(stream)):
        other = min(len(stream) - 1, place + rng.randint(0, 4))
        stream[place], stream[other] = stream[other], stream[place]
    return stream


def calm_run(events: list[Event], fired: list[Any] | None = None) -> MemoryPipeline:
    calm = pipeline(SETTINGS, (lambda firing: None) if fired is None else fired.append)
    for event in events:
        calm.send(event)
    return calm


def check_rest(world: World, events: list[Event]) -> None:
    """Nothing is under way; every event is in its part, once, and every part with its owner, once."""
    counted: Counter[str] = Counter()
    for stage in world.stages:
        assert stage.frozen() == []
        assert stage.inbox == {}
        for person in stage.people.each():
            assert person.at_rest
            assert person.parts
            for key, part in person.parts.items():
                assert world.graph.graph.one_id(key) == person.one_id
                assert key not in counted
                counted[key] = part.events
    assert counted == Counter(event.idents[0] for event in events if event.idents)


def check_graph(world: World, calm: MemoryPipeline) -> None:
    """The resolver, those who would take over from it, and the copies have the people of the evidence."""
    assert content(world.graph.graph) == content(calm.graph)
    for rows in (MemoryRows(), deepcopy(world.resolver.rows)):
        heir = world.resolver.restored(rows)
        assert content(heir.graph) == content(calm.graph)
        assert heir.step == world.graph.step
    for worker in world.identifiers:
        worker.catch_up(whole=True)
        for one_id, members in calm.graph.people():
            assert {worker.view.one_id(ident) for ident in members} == {one_id}


SOURCES = {"files": lambda seed: events_of(seed, 120), "chains": chains_of}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("seed", range(10))
def test_any_interleaving_and_any_crash_gives_the_people_and_profiles_of_one_process(
    build: Build, seed: int, source: str
) -> None:
    events = SOURCES[source](seed)
    calm = calm_run(events)
    world = build(seed)
    world.run(muddled(events, random.Random(seed)))
    check_rest(world, events)
    check_graph(world, calm)
    end_ms = events[-1].time_ms
    assert rows_of(world.stages, SETTINGS, end_ms) == rows_of(calm.stages, SETTINGS, end_ms)
    world.advance(end_ms)
    assert len({firing.trigger_id for firing in world.fired}) == len(world.fired)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("seed", range(5))
def test_triggers_are_those_of_one_process_when_no_event_of_a_person_overtakes_another(
    build: Build, seed: int, source: str
) -> None:
    events = SOURCES[source](seed)
    calm_fired: list[Any] = []
    calm = calm_run(events, calm_fired)
    calm.advance(events[-1].time_ms)
    world = build(seed)
    for event in events:
        world.run([event], fresh=world.random.random() < 0.5)
    world.advance(events[-1].time_ms)
    check_rest(world, events)
    assert sorted(world.fired, key=lambda f: f.trigger_id) == sorted(calm_fired, key=lambda f: f.trigger_id)
    assert calm_fired


def test_the_world_is_as_rough_as_it_should_be(build: Build) -> None:
    totals: Counter[str] = Counter()
    for seed in range(4):
        world = build(seed)
        world.run(muddled(chains_of(seed), random.Random(seed)))
        totals["bounced"] += world.bounced
        totals["moved"] += world.moved
        totals["crashed"] += world.crashed
        totals["frozen"] += world.most_frozen
    assert totals["bounced"] > 10
    assert totals["moved"] > 50
    assert totals["crashed"] > 40
    assert totals["frozen"] >= 4


def test_the_chains_merge_members_and_part_them_again() -> None:
    events = chains_of(1)
    calm = calm_run(events)
    kinds = Counter(event.type for event in events)
    assert min(kinds["customer.linked"], kinds["customer.unlinked"], kinds["cart.added"], kinds["order.paid"]) > 3
    assert any(Counter(map(kind_of, members))["member_id"] > 1 for _, members in calm.graph.people())
