"""The engine that sleeps until the next wake agrees with one that evaluates everything at every instant."""

from typing import Any, NamedTuple

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.fakes import HOUR, Ev, FakeFacts, FakePart, Person, at
from tests.triggers.naive import RULES, Decision, Naive

BERLIN = "Europe/Berlin"
START = at("2026-03-27 00:00", BERLIN)  # the clocks change on the third day
HOURS = 8 * 24
PARTS = ("phone:1", "email:x", "device_id:d")


class Told(NamedTuple):
    """An event and the hour at which it becomes known, at or after its own."""

    known: int
    event: Ev


DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "cart.added": st.fixed_dictionaries({"cart_id": st.sampled_from(["", "c"]), "sku": st.just("A")}),
    "cart.cleared": st.fixed_dictionaries({"cart_id": st.sampled_from(["", "c"])}),
    "product.viewed": st.just({}),
    "customer.identified": st.fixed_dictionaries(
        {},
        optional={
            "timezone": st.sampled_from([BERLIN, "Asia/Shanghai", "America/New_York"]),
            "birthday": st.sampled_from(["03-28", "03-30", "04-01"]),
        },
    ),
    "order.paid": st.fixed_dictionaries(
        {
            "order_id": st.sampled_from(["o1", "o2", "o3"]),
            "items": st.lists(
                st.tuples(st.sampled_from("AB"), st.integers(1, 3), st.sampled_from([None, 1, 2])),
                min_size=1,
                max_size=2,
            ),
        }
    ),
    "order.placed": st.just({"order_id": "unpaid", "items": [("A", 1, None)]}),
    "ticket.resolved": st.fixed_dictionaries({"ticket_id": st.sampled_from(["t", "u"])}),
    "chat.rated": st.fixed_dictionaries({"score": st.integers(1, 3)}),
    "customer.consented": st.fixed_dictionaries({"purpose": st.just("marketing"), "granted": st.booleans()}),
}


@st.composite
def stories(draw: st.DrawFn) -> list[Told]:
    told = []
    for number in range(draw(st.integers(1, 14))):
        event_type = draw(st.sampled_from(sorted(DATA)))
        hour = draw(st.integers(0, HOURS - 1))
        late = draw(st.sampled_from([0, 0, 0, 0, 1, 20, 40]))
        event_id = f"{draw(st.integers(0, 9))}{number:02d}"  # ids in no order of time
        event = Ev(START + hour * HOUR, event_id, event_type, draw(DATA[event_type]), draw(st.sampled_from(PARTS)))
        told.append(Told(min(hour + late, HOURS), event))
    return sorted(told, key=lambda each: (each.known, each.event.key))


def naive(story: list[Told], oldest: str) -> list[Decision]:
    engine = Naive(BERLIN, oldest)
    for hour in range(HOURS + 1):
        engine.at(START + hour * HOUR, [each.event for each in story if each.known <= hour])
    return engine.log


def sleeping(story: list[Told], oldest: str, *, lean: bool = False, one_part: bool = False) -> list[Decision]:
    """Play the story with the real engine; `lean` keeps the checks with `after_event` from event to event."""
    engine = Person(RULES, timezone=BERLIN).engine
    parts: dict[str, FakePart] = {}
    known: list[Ev] = []
    log: list[Decision] = []
    checks = engine.checks(FakeFacts(known, parts))

    def facts() -> FakeFacts:
        return FakeFacts(known, parts)

    def fire(now: int) -> None:
        log.extend(
            Decision(r.rule, r.instance or "", r.anchor_event_id, r.due_ms, r.decided_ms, r.outcome, r.reason)
            for r in engine.fire_at(facts(), now, oldest, checks)
        )
        assert engine.fire_at(facts(), now, oldest, engine.checks(facts())) == []
        assert checks == engine.checks(facts()) or lean

    hours = sorted({each.known for each in story})
    for hour, following in zip(hours, [*hours[1:], HOURS + 1], strict=True):
        for each in story:
            if each.known == hour:
                known.append(each.event._replace(part=PARTS[0]) if one_part else each.event)
                if lean:
                    engine.after_event(checks, facts(), each.event.type, each.event.time)
                    assert all(lean <= exact for lean, exact in zip(checks, engine.checks(facts()), strict=True))
                else:
                    checks = engine.checks(facts())
        now = START + hour * HOUR
        while max(min(checks), now) < START + following * HOUR:
            now = max(min(checks), now)
            fire(now)
            assert min(checks) > now
    return log


@settings(max_examples=70, deadline=None)
@given(stories(), st.sampled_from(["phone:1", "phone:2", "phone:3", "phone:5"]))
def test_due_at_every_instant_agrees_with_sleeping_until_the_next_wake(story: list[Told], oldest: str):
    expected = naive(story, oldest)
    for decision in expected:
        note(f"{decision.rule} {decision.outcome}")
    assert sleeping(story, oldest) == expected


@settings(max_examples=40, deadline=None)
@given(stories())
def test_the_lean_wake_is_never_too_late_and_changes_no_decision(story: list[Told]):
    assert sleeping(story, "phone:1", lean=True) == sleeping(story, "phone:1")


@settings(max_examples=40, deadline=None)
@given(stories())
def test_events_and_marks_spread_over_parts_give_what_they_give_in_one_part(story: list[Told]):
    assert sleeping(story, "phone:1", one_part=True) == sleeping(story, "phone:1")
