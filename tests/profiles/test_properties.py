from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.facts import Facts
from profiles.fold import Folder
from profiles.part import decode, encode, new_part
from schemas.event import Event
from tests.profiles import reference
from tests.profiles.support import DAY, SETTINGS, T0, event_lists, fold_all, row_of, snapshot, unparted

NOW = T0 + 8 * DAY
quick = settings(max_examples=120, deadline=None)


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda e: (e.time_ms, e.id))


@quick
@given(event_lists(), st.data())
def test_any_order_and_repetition_of_events_gives_the_same_facts(events: list[Event], data: st.DataObject) -> None:
    repeated = data.draw(st.lists(st.sampled_from(events))) if events else []
    shuffled = data.draw(st.permutations(events + repeated))
    straight = Facts(fold_all(in_order(events)), SETTINGS)
    assert snapshot(Facts(fold_all(shuffled), SETTINGS), NOW) == snapshot(straight, NOW)


@quick
@given(event_lists(days=200), st.data())
def test_the_spread_of_events_over_parts_and_the_order_of_parts_change_nothing(
    events: list[Event], data: st.DataObject
) -> None:
    now = T0 + 201 * DAY
    one = Facts(fold_all([_to(e, "phone:+860") for e in in_order(events)]), SETTINGS)
    parts = fold_all([_to(e, f"phone:+86{data.draw(st.integers(0, 3))}") for e in in_order(events)])
    many = Facts(data.draw(st.permutations(parts)), SETTINGS)
    assert unparted(snapshot(many, now)) == unparted(snapshot(one, now))


def _to(one: Event, key: str) -> Event:
    return Event(one.id, one.type, one.time_ms, (key, *one.idents[1:]), one.data)


@quick
@given(event_lists(days=60))
def test_a_split_gives_the_facts_there_would_have_been(events: list[Event]) -> None:
    parts = fold_all(in_order(events))
    snapshot(Facts(parts, SETTINGS), NOW)
    for part in parts:
        alone = fold_all([e for e in in_order(events) if e.idents[0] == part.key])
        assert snapshot(Facts([part], SETTINGS), NOW) == snapshot(Facts(alone, SETTINGS), NOW)


@quick
@given(event_lists(days=60))
def test_encoding_loses_nothing(events: list[Event]) -> None:
    for part in fold_all(events):
        assert decode(encode(part)) == part


@quick
@given(event_lists(days=30, size=15, keys=2))
def test_facts_kept_over_folds_equal_a_fresh_merge_after_each_event(events: list[Event]) -> None:
    folder = Folder(SETTINGS)
    parts = {key: new_part(key) for key in ("phone:+860", "phone:+861")}
    kept = Facts(list(parts.values()), SETTINGS)
    snapshot(kept, NOW)
    for one in events:
        folder.fold(parts[one.idents[0]], one)
        kept.folded(one)
        assert snapshot(kept, NOW) == snapshot(Facts(list(parts.values()), SETTINGS), NOW)


@quick
@given(event_lists(days=60, size=40))
def test_the_facts_are_what_a_plain_reading_of_the_events_says(events: list[Event]) -> None:
    events = in_order(events)
    facts = Facts(fold_all(events), SETTINGS)
    row = row_of(facts, T0 + 61 * DAY)
    orders = reference.orders(events)
    assert {
        o.order_id: {
            "at": o.time_ms,
            "amount": o.amount_minor,
            "refunded": o.refunded_minor,
            "currency": o.currency,
            "quantity": sum(i.quantity for i in o.items),
            "foreign": o.foreign_refunds,
        }
        for o in facts.orders().list
    } == orders
    used = Counter(o["currency"] for o in orders.values())
    currency = min(used, key=lambda c: (-used[c], c), default=None)
    own = [o for o in orders.values() if o["currency"] == currency]
    assert row["currency"] == currency
    assert row["revenue_minor"] == sum(o["amount"] - o["refunded"] for o in own)
    assert row["items"] == sum(o["quantity"] for o in orders.values())
    carts = reference.carts(events)
    assert {
        cart_id: {sku: (line.quantity, line.unit_price_minor or 0) for sku, line in cart.lines.items()}
        for cart_id, cart in facts.carts().items()
    } == carts
    assert row["cart_value_minor"] == sum(q * p for lines in carts.values() for q, p in lines.values())
    for purpose in ("marketing", "service"):
        for channel in (None, "sms", "wechat"):
            assert facts.consent(purpose, channel) == reference.consent(events, purpose, channel)
    assert {t.ticket_id for t in facts.tickets().values() if t.open} == reference.open_tickets(events)
    assert row["last_viewed"] == reference.last_viewed(events)
    assert _span(row) == ((events[0].time_ms, events[-1].time_ms, len(events)) if events else (None, None, 0))


def _span(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["first_seen"], row["last_seen"], row["events"]
