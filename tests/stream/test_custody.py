"""Parts follow their people whoever acts first."""

import random
from collections import Counter

import pytest

from ingest.admit import Admission
from schemas.errors import InvalidEvent
from schemas.event import Event
from schemas.settings import Settings
from tests.reference.generate import generate
from tests.stream.custody import World
from tests.stream.helpers import pipeline, rows_of

SETTINGS = Settings(horizon_days=400)


def events_of(seed: int, count: int) -> list[Event]:
    admission = Admission(SETTINGS)
    events: dict[str, Event] = {}
    for line in generate(seed, count):
        try:
            event = admission.admit(line)
        except InvalidEvent:
            continue
        events.setdefault(event.id, event)
    return sorted(events.values(), key=lambda event: (event.time_ms, event.id))


@pytest.mark.parametrize("seed", range(12))
def test_any_interleaving_of_workers_gives_the_people_and_profiles_of_one_process(seed: int) -> None:
    events = events_of(seed, 150)
    calm = pipeline(SETTINGS)
    for event in events:
        calm.send(event)
    world = World(seed, SETTINGS)
    shuffled = [*events, *events[:20]]
    random.Random(seed).shuffle(shuffled)
    world.run(shuffled)
    end_ms = events[-1].time_ms
    assert not [one_id for stage in world.stages for one_id in stage.frozen()]
    assert rows_of(world.stages, SETTINGS, end_ms) == rows_of(calm.stages, SETTINGS, end_ms)
    assert dict(world.graph.people()) == dict(calm.graph.people())


@pytest.mark.parametrize("seed", range(12))
def test_every_event_is_in_exactly_one_part_and_every_part_with_its_owner(seed: int) -> None:
    events = events_of(seed, 150)
    world = World(seed, SETTINGS)
    world.run(events)
    counted: Counter[str] = Counter()
    for stage in world.stages:
        for person in stage.people.each():
            for key, part in person.parts.items():
                assert world.graph.one_id(key) == person.one_id
                counted[key] += part.events
    assert counted == Counter(event.idents[0] for event in events if event.idents)


@pytest.mark.parametrize("seed", range(12))
def test_triggers_are_those_of_one_process_when_no_event_of_a_person_overtakes_another(seed: int) -> None:
    events = events_of(seed, 150)
    calm_fired = []
    calm = pipeline(SETTINGS, calm_fired.append)
    for event in events:
        calm.send(event)
    calm.advance(events[-1].time_ms)
    world = World(seed, SETTINGS)
    for event in events:
        world.run([event])
    world.advance(events[-1].time_ms)
    assert sorted(world.fired, key=lambda f: f.trigger_id) == sorted(calm_fired, key=lambda f: f.trigger_id)
    assert len({f.trigger_id for f in world.fired}) == len(world.fired)


@pytest.mark.parametrize("seed", range(6))
def test_no_trigger_fires_twice_however_late_the_events_come(seed: int) -> None:
    events = events_of(seed, 200)
    world = World(seed, SETTINGS)
    random.Random(seed).shuffle(events)
    world.run(events)
    world.advance(max(event.time_ms for event in events))
    assert len({f.trigger_id for f in world.fired}) == len(world.fired)
    assert world.moved > 0
