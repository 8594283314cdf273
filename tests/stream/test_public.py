"""What is told to the world, built without the models, against the models."""

import json
import random
from collections import Counter
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.changes import Change
from identity.graph import Graph
from identity.policy import Policy
from ingest.admit import Admission
from profiles.derive import derive
from profiles.tags import RULES
from schemas.contract import EVENT_MODELS
from schemas.errors import InvalidEvent
from schemas.event import Event
from schemas.firing import Firing
from schemas.messages import IdentityChange, QualityTicket, SegmentChange, TriggerMessage
from schemas.profile import Profile
from schemas.settings import Settings
from stream.memory import MemoryPipeline
from stream.person import Person
from stream.public import _EVIDENCE, Public, firing_message, identity_change, left_segments, ticket_message
from tests.profiles.support import DAY, SETTINGS, T0, event, fold_all, item, paid
from tests.reference.generate import generate
from triggers.engine import Engine
from triggers.instances import NEVER
from triggers.rules import RuleSet

PUBLIC = Public(SETTINGS)


def someone(*events: Event) -> Person:
    person = Person("P")
    person.parts = {part.key: part for part in fold_all(list(events))}
    return person


@lru_cache
def people_of(seed: int, number: int) -> tuple[list[Person], list[Firing], list[Change]]:
    admit = Admission(SETTINGS).admit
    events = {}
    for line in generate(seed, number):
        try:
            event = admit(line)
        except InvalidEvent:
            continue
        events[event.id] = event
    fired: list[Firing] = []
    changed: list[Change] = []
    graph = Graph(Policy.from_settings(SETTINGS), SETTINGS.space)
    engine = Engine(RuleSet.from_settings(SETTINGS), SETTINGS)
    pipeline = MemoryPipeline(SETTINGS, graph, engine, fired.append, changed.append)
    for event in sorted(events.values(), key=lambda event: (event.time_ms, event.id)):
        pipeline.send(event)
    return list(pipeline.stages[0].people.each()), fired, changed


@pytest.mark.parametrize("seed", range(5))
def test_a_rendered_profile_is_the_public_model_s(seed: int) -> None:
    for person in people_of(seed, 300)[0]:
        facts = person.facts(SETTINGS)
        for now_ms in (facts.last_seen or T0, (facts.last_seen or T0) + 100 * DAY + 123):
            wanted = derive(facts, now_ms, SETTINGS, None, person.one_id)
            value = PUBLIC.render(person, now_ms).value
            assert Profile.model_validate_json(value) == wanted
            assert list(json.loads(value)) == list(Profile.model_fields)
            assert PUBLIC.profile(person, now_ms) == value


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 400 * DAY), st.integers(0, (1 << 31) - 1))
def test_a_profile_stays_as_it_is_until_it_is_to_be_refreshed(seed: int, after_ms: int, place: int) -> None:
    for person in people_of(seed, 60)[0]:
        now_ms = (person.facts(SETTINGS).last_seen or T0) + after_ms
        rendered = PUBLIC.render(person, now_ms)
        assert rendered.refresh_ms > now_ms
        later = min(rendered.refresh_ms, now_ms + 800 * DAY)
        for at_ms in (later - 1, now_ms + place * (later - now_ms) // (1 << 31)):
            assert lasting(PUBLIC.profile(person, at_ms)) == lasting(rendered.value)
        if rendered.refresh_ms < NEVER:
            assert lasting(PUBLIC.profile(person, rendered.refresh_ms)) != lasting(rendered.value)


def lasting(value: bytes) -> Any:
    profile = json.loads(value)
    del profile["clv_minor"]  # melts all the time
    return profile


def test_of_an_order_ahead_of_the_clock_the_spend_counts_when_its_time_comes() -> None:
    person = someone(paid(T0, "1"), paid(T0 + DAY, "2", amount=900_000))
    assert PUBLIC.render(person, T0 + 1).refresh_ms == T0 + DAY


def test_a_streak_ends_at_the_midnight_after_the_day_without_a_check_in() -> None:
    person = someone(event("customer.checked_in", T0 + 3_600_000))
    refresh_ms = PUBLIC.render(person, T0 + 3_700_000).refresh_ms
    assert refresh_ms == T0 - 8 * 3_600_000 + 2 * DAY  # of Shanghai
    assert json.loads(PUBLIC.profile(person, refresh_ms - 1))["streak_days"] == 1
    assert json.loads(PUBLIC.profile(person, refresh_ms))["streak_days"] == 0


def test_tags_are_entered_at_first_then_only_what_changes_is_told() -> None:
    person = someone(event("product.viewed", T0, sku="A"))
    first = PUBLIC.render(person, T0)
    assert changes(first.changes) == [("entered", "lifecycle:prospect")]
    person.tags = first.tags
    assert PUBLIC.render(person, T0 + 1).changes == []
    person.parts = {part.key: part for part in fold_all([paid(T0 + 5, "1", event_id="e5")])}
    person.parts_changed()
    second = PUBLIC.render(person, T0 + 6)
    assert changes(second.changes)[:1] == [("left", "lifecycle:prospect")]
    assert ("entered", "lifecycle:new") in changes(second.changes)
    for value in second.changes:
        change = SegmentChange.model_validate_json(value)
        assert (change.one_id, change.at_ms, change.evidence) == ("P", T0 + 6, ["e5"])
        assert change.rule == change.segment.partition(":")[0]
        assert change.rule_version == {rule.name: rule.version for rule in RULES}[change.rule]
    person.tags = second.tags
    assert Counter(changes(left_segments(person, T0 + 7))) == Counter(("left", tag) for tag in second.tags)


def test_who_was_never_published_leaves_nothing() -> None:
    assert left_segments(Person("P"), T0) == []


def changes(values: list[bytes]) -> list[tuple[str, str]]:
    return [(change["change"], change["segment"]) for change in map(json.loads, values)]


def test_every_rule_of_tags_has_events_that_are_its_evidence() -> None:
    assert set(_EVIDENCE) == {rule.name for rule in RULES}
    assert {name for names in _EVIDENCE.values() for name in names} <= set(EVENT_MODELS)


def test_firings_and_changes_of_people_are_messages_by_their_models() -> None:
    fired: list[Firing] = []
    changed: list[Change] = []
    for seed in range(3):
        _, firings, announced = people_of(seed, 200)
        fired += firings
        changed += announced
    assert {firing.outcome for firing in fired} >= {"fired", "suppressed"}
    assert {change.kind for change in changed} >= {"merged"}
    for firing in fired:
        told = TriggerMessage.model_validate_json(firing_message(firing))
        assert not told.model_extra
        assert (told.trigger_id, told.part, told.fired_ms) == (firing.trigger_id, firing.part, firing.fired_ms)
        assert tuple(told.channels) == firing.channels
    for change in changed:
        message = IdentityChange.model_validate_json(identity_change(change))
        assert not message.model_extra
        assert (message.change, message.evidence_event_id) == (change.kind, change.event_id)


def test_a_ticket_about_a_product_tells_whether_it_was_bought() -> None:
    opened = event("ticket.opened", T0 + 5, ticket_id="T1", sku="A")
    person = someone(paid(T0, "1"), paid(T0 + 1, "2", items=[item("B")]), paid(T0 + 2, "3"), opened)
    told = ticket_message(person, opened, SETTINGS)
    assert told is not None
    ticket = QualityTicket.model_validate_json(told[1])
    assert (told[0], ticket.sku, ticket.bought, ticket.order_ids) == ("A", "A", True, ["1", "3"])
    assert (ticket.one_id, ticket.ticket_id, ticket.at_ms) == ("P", "T1", T0 + 5)
    other = event("ticket.opened", T0 + 6, ticket_id="T2", sku="Z")
    told = ticket_message(person, other, SETTINGS)
    assert told is not None
    assert json.loads(told[1])["bought"] is False
    assert ticket_message(person, event("ticket.opened", T0 + 7, ticket_id="T3"), SETTINGS) is None


def test_the_amounts_are_those_of_the_settings() -> None:
    yen = Settings(currency="JPY")
    person = Person("P")
    person.parts = {part.key: part for part in fold_all([paid(T0, "1", 500, "JPY")], yen)}
    profile = json.loads(Public(yen).render(person, T0).value)
    assert (profile["currency"], profile["revenue_minor"]) == ("JPY", 500)


def test_parts_in_any_order_give_the_same_profile() -> None:
    events = [paid(T0, "1", who="phone:+861"), event("product.viewed", T0 + 1, sku="B", who="email:a@b.cn")]
    values = set()
    for _ in range(4):
        random.Random(len(values)).shuffle(events)
        values.add(PUBLIC.profile(someone(*events), T0 + 2))
    assert len(values) == 1
