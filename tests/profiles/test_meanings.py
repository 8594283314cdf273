"""The exact meanings of orders, carts, consent and service, one sentence a test."""

from itertools import permutations
from typing import Any

import pytest

from profiles.facts import Facts
from profiles.fold import Folder
from profiles.fold_cart import MAX_DELTAS
from profiles.part import decode, encode, sightings
from tests.profiles.support import DAY, HOUR, SETTINGS, T0, event, facts_of, fold_all, item, paid, row_of

OTHER = "member_id:m1"


def test_a_bare_payment_counts_once_the_amount_is_known_and_takes_it_from_the_latest_placing() -> None:
    bare = event("order.paid", T0 + HOUR, order_id="o", channel="app")
    facts = facts_of(bare)
    assert len(facts.orders()) == 0
    first = event("order.placed", T0, "p1", order_id="o", items=[item("A")], amount=100, currency="CNY")
    second = event(
        "order.placed", T0 + 2 * HOUR, "p2", OTHER, order_id="o", items=[item("B", 2)], amount=300, currency="CNY"
    )
    (order,) = facts_of(bare, first, second).orders().list
    assert (order.time_ms, order.amount_minor, order.part) == (T0 + HOUR, 300, "phone:+861")
    assert (order.items[0].sku, order.channel, order.placed_ms) == ("B", "app", T0 + 2 * HOUR)


def test_of_several_payments_only_the_earliest_counts() -> None:
    later = paid(T0 + HOUR, "o", 900)
    earlier = paid(T0, "o", 700, who=OTHER)
    assert row_of(facts_of(later, earlier), T0 + DAY)["revenue_minor"] == 700


def test_a_bare_earliest_payment_sets_the_time_and_the_earliest_whole_payment_what_was_paid() -> None:
    bare = event("order.paid", T0, "b", order_id="o", channel="app")
    whole = paid(T0 + HOUR, "o", 700, who=OTHER)
    later = paid(T0 + 2 * HOUR, "o", 900)
    placed = event("order.placed", T0 + 3 * HOUR, order_id="o", items=[item("A")], amount=1, currency="USD", store="s")
    for story in permutations([bare, whole, later, placed]):
        (order,) = facts_of(*story).orders().list
        assert (order.time_ms, order.event_id, order.part) == (T0, "b", "phone:+861")
        assert (order.amount_minor, order.currency, order.channel, order.store) == (700, "CNY", "app", "s")
    (order,) = facts_of(bare, later).orders().list
    assert (order.time_ms, order.amount_minor) == (T0, 900)


def test_whole_payment_wins_over_the_placing_field_by_field() -> None:
    placed = event(
        "order.placed", T0, order_id="o", items=[item("A")], amount=1, currency="USD", store="s", channel="web"
    )
    (order,) = facts_of(placed, paid(T0 + 1, "o", 700, channel="app")).orders().list
    assert (order.amount_minor, order.currency, order.store, order.channel) == (700, "CNY", "s", "app")


def test_a_payment_that_repeats_the_placing_is_stored_once_and_survives_a_later_placing() -> None:
    said = {"order_id": "o", "items": [item("A", 2)], "amount": 700, "currency": "CNY"}
    placed = event("order.placed", T0, "p1", **said)
    payment = event("order.paid", T0 + 1, "p2", **said)
    changed = event("order.placed", T0 + 2, "p3", **{**said, "amount": 900})
    for story in ([placed, payment], [payment, placed]):
        (part,) = fold_all(story)
        assert part.orders["o"].paid_body is None
        assert [o.amount_minor for o in Facts([part], SETTINGS).orders().list] == [700]
        for one in (changed, event("order.placed", T0 + 2, "p3", OTHER, **{**said, "amount": 900})):
            assert [o.amount_minor for o in facts_of(*story, one).orders().list] == [700]


@pytest.mark.parametrize("kind", ["order.placed", "order.paid"])
def test_facts_that_are_kept_see_an_order_empty_the_cart(kind: str) -> None:
    parts = fold_all([_add(T0)])
    facts = Facts(parts, SETTINGS)
    assert facts.carts()
    order = event(kind, T0 + 1, order_id="o", items=[item("A")], amount=1, currency="CNY")
    Folder(SETTINGS).fold(parts[0], order)
    facts.folded(order)
    assert not facts.carts()


def test_refunds_stop_at_the_amount_and_foreign_ones_are_left_out_and_counted() -> None:
    order = paid(T0, "o", 1000)
    refund = event("order.refunded", T0 + 1, order_id="o", amount=800, currency="CNY")
    again = event("order.refunded", T0 + 2, "again", OTHER, order_id="o", amount=800, currency="CNY")
    foreign = event("order.refunded", T0 + 3, order_id="o", amount=50, currency="USD")
    row = row_of(facts_of(refund, order, again, foreign), T0 + DAY)
    assert (row["revenue_minor"], row["refunded_minor"], row["orders"], row["foreign_refunds"]) == (0, 1000, 1, 1)


def test_cancelling_refunds_a_paid_order_whatever_its_time_and_removes_an_unpaid_one() -> None:
    early = event("order.cancelled", T0 - HOUR, order_id="o")
    unpaid = event("order.placed", T0, order_id="u", items=[item("A")], amount=1, currency="CNY")
    row = row_of(facts_of(early, unpaid, paid(T0, "o", 500), event("order.cancelled", T0 + 1, order_id="u")), T0 + DAY)
    assert (row["orders"], row["revenue_minor"], row["refunded_minor"], row["items"]) == (1, 0, 500, 1)


@pytest.mark.parametrize(("amounts", "aov"), [((1, 2), 2), ((2, 3), 2), ((1, 1, 2), 1), ((1, 2, 2), 2)])
def test_average_order_value_is_rounded_half_to_even(amounts: tuple[int, ...], aov: int) -> None:
    facts = facts_of(*(paid(T0 + n, f"o{n}", amount) for n, amount in enumerate(amounts)))
    assert row_of(facts, T0 + DAY)["aov_minor"] == aov


def test_the_currency_is_the_one_with_most_orders_and_of_equals_the_alphabetically_first() -> None:
    orders = [paid(T0, "a", 5, "USD"), paid(T0 + 1, "b", 7, "EUR")]
    row = row_of(facts_of(*orders), T0 + DAY)
    assert (row["currency"], row["revenue_minor"], row["orders"], row["aov_minor"]) == ("EUR", 7, 2, 7)
    assert [other["currency"] for other in row["other_currencies"]] == ["USD"]
    assert row_of(facts_of(*orders, paid(T0 + 2, "c", 1, "USD")), T0 + DAY)["currency"] == "USD"


def _add(at: int, sku: str = "A", quantity: int = 1, **more: Any) -> Any:
    return event("cart.added", at, sku=sku, quantity=quantity, **more)


def test_a_line_is_what_was_added_less_what_was_removed_at_the_latest_price_and_never_below_zero() -> None:
    removed = event("cart.removed", T0 + 2, sku="A", quantity=5)
    priced = [_add(T0 + 4, "B", unit_price=30), _add(T0 + 3, "B", unit_price=20), _add(T0 + 5, "B")]
    facts = facts_of(_add(T0, "A", 2), removed, *priced)
    row = row_of(facts, T0 + DAY)
    assert (row["cart_items"], row["cart_value_minor"]) == (3, 90)
    assert facts.carts()[""].changed == (T0 + 5, f"cart.added@{T0 + 5}", "phone:+861")


def test_an_order_empties_the_cart_it_names_or_all_of_them_over_all_parts_and_a_split_undoes_it() -> None:
    adds = [_add(T0, cart_id="c1"), _add(T0 + 1, cart_id="c2"), _add(T0 + 2)]
    for cart_id, left in (("c1", ["", "c2"]), (None, [])):
        order = paid(T0 + HOUR, "o", who=OTHER, cart_id=cart_id)
        parts = fold_all([*adds, order])
        assert list(Facts(parts, SETTINGS).carts()) == left
        assert list(Facts(parts[:1], SETTINGS).carts()) == ["", "c1", "c2"]
    bare = event("order.paid", T0 + HOUR, order_id="o")
    assert len(facts_of(*adds, bare).carts()) == 3


def test_clearing_without_a_cart_id_clears_only_the_cart_without_one() -> None:
    facts = facts_of(_add(T0, cart_id="c1"), _add(T0), event("cart.cleared", T0 + 1))
    assert list(facts.carts()) == ["c1"]


def test_a_cart_line_changed_without_end_stays_small_and_keeps_its_sum() -> None:
    parts = fold_all([_add(T0 + n, quantity=2, event_id=f"e{n}") for n in range(1000)])
    assert sum(map(len, parts[0].carts[""].lines.values())) <= MAX_DELTAS
    assert Facts(parts, SETTINGS).carts()[""].quantity == 2000


def _word(at: int, granted: bool, channel: str | None = None, purpose: str = "marketing", who: str = OTHER) -> Any:
    event_id = f"{at}{granted}{channel}{purpose}"
    return event("customer.consented", at, event_id, who, purpose=purpose, granted=granted, channel=channel)


def test_the_latest_word_that_covers_a_channel_counts() -> None:
    facts = facts_of(_word(T0, True, "sms"), _word(T0 + 1, False), _word(T0 + 2, True, "wechat", who="phone:+861"))
    assert not facts.consent("marketing", "sms")
    assert facts.consent("marketing", "wechat")
    assert facts.consent("marketing", None)
    assert facts.channels("marketing") == ["wechat"]
    assert row_of(facts, T0)["consent"] == {
        "marketing": False,
        "marketing:sms": False,
        "marketing:wechat": True,
    }


def test_at_one_instant_a_denial_wins() -> None:
    for granted_first in (True, False):
        facts = facts_of(_word(T0, granted_first), _word(T0, not granted_first, "sms"))
        assert not facts.consent("marketing", "sms")


def test_without_a_word_marketing_is_denied_and_service_is_not() -> None:
    facts = facts_of(event("app.opened", T0))
    assert not facts.consent("marketing")
    assert facts.consent("service")
    assert not facts_of(_word(T0, False, purpose="service")).consent("service")


def test_a_ticket_is_open_when_the_latest_of_opened_resolved_and_reopened_is_not_resolved() -> None:
    def ticket(kind: str, at: int, who: str = OTHER) -> Any:
        return event(f"ticket.{kind}", T0 + at, who=who, ticket_id="t")

    story = [ticket("opened", 0), ticket("replied", 5), ticket("resolved", 10, "phone:+861")]
    row = row_of(facts_of(*story), T0)
    assert (row["open_tickets"], row["first_response_ms"], row["resolution_ms"]) == (0, 5, 10)
    assert facts_of(*story).tickets()["t"].resolved == (T0 + 10, f"ticket.resolved@{T0 + 10}", "phone:+861")
    row = row_of(facts_of(*story, ticket("reopened", 20)), T0)
    assert (row["open_tickets"], row["resolution_ms"]) == (1, None)
    assert row_of(facts_of(ticket("replied", 0)), T0)["open_tickets"] == 0


@pytest.mark.parametrize(
    ("score", "scale", "group", "low"),
    [
        (6, None, "detractor", True),
        (7, None, "passive", False),
        (8.9, 10, "passive", False),
        (9, None, "promoter", False),
        (5, 5, "promoter", False),
        (3, 5, "detractor", True),
        (3.1, 5, "detractor", False),
    ],
)
def test_nps_groups_and_low_scores_follow_the_scale(score: float, scale: float | None, group: str, low: bool) -> None:
    facts = facts_of(event("survey.answered", T0, survey="nps", score=score, scale=scale))
    assert row_of(facts, T0)["nps"] == group
    assert [s.object_id for s in facts.scores()] == (["nps"] if low else [])


def test_a_rating_is_low_from_two_down() -> None:
    ratings = [event("chat.rated", T0 + n, conversation_id=f"c{n}", score=n) for n in range(1, 6)]
    assert [(s.score, s.scale) for s in facts_of(*ratings).scores()] == [(1, 5), (2, 5)]
    assert row_of(facts_of(*ratings), T0)["satisfaction"] == 3.0


def test_the_latest_trait_counts_null_says_nothing_and_a_wrong_time_zone_is_none() -> None:
    facts = facts_of(
        event("customer.identified", T0 + 2, traits={"city": None, "timezone": "Mars/Olympus"}),
        event("customer.identified", T0 + 1, traits={"city": "Wuhan", "timezone": "Asia/Tokyo"}),
    )
    assert facts.trait("city") == ("Wuhan", T0 + 1, f"customer.identified@{T0 + 1}", "phone:+861")
    assert facts.timezone is None
    assert facts.zone.key == "Asia/Shanghai"


def test_no_value_of_a_trait_can_stop_a_part_from_being_stored() -> None:
    deep: Any = 10**4000
    for _ in range(400):
        deep = [deep]
    (part,) = fold_all([event("customer.identified", T0, traits={"n": -(2**70), "deep": deep, "ok": {"a": 1.5}})])
    assert decode(encode(part)) == part
    assert part.traits["ok"][2] == {"a": 1.5}


def test_views_are_whole_local_days_of_the_newest_quarter_hours_in_any_order_of_arrival() -> None:
    views = [event("product.viewed", T0 + n * HOUR, sku="A") for n in range(30 * 24)]
    found = facts_of(*views).views()
    first = found[0][0]
    assert 500 - 24 <= len(found) <= 500
    assert found[-1][0] == views[-1].time_ms
    assert (first + 8 * HOUR) % DAY == 0  # midnight in Shanghai
    assert facts_of(*reversed(views)).views() == found


def test_few_views_are_kept_for_good() -> None:
    views = [event("product.viewed", T0 + n * 100 * DAY, sku="A") for n in range(5)]
    assert len(facts_of(*views).views()) == 5


def test_the_first_view_of_a_quarter_hour_is_kept_in_any_order_of_arrival() -> None:
    views = [
        event("product.viewed", T0 + at, event_id, sku="A") for at, event_id in ((9, "a"), (5, "c"), (5, "b"), (7, "d"))
    ]
    assert facts_of(*views).views() == [(T0 + 5, "b", "phone:+861")]


def test_a_part_forgets_event_ids_beyond_the_horizon_only() -> None:
    (part,) = fold_all([event("app.opened", T0 + n * DAY, f"e{n}") for n in range(30)])
    assert set(part.recent) == {f"e{n}" for n in range(22, 30)}


def test_an_identifier_is_first_and_last_seen_with_the_events_that_carried_it() -> None:
    both = "phone:+861 email:a@x.cn"
    (part,) = fold_all(
        [event("app.opened", T0 + 5, who=both), event("app.opened", T0 + 1), event("app.opened", T0 + 3, who=both)]
    )
    assert list(sightings(part)) == [("phone:+861", 3, T0 + 1, T0 + 5), ("email:a@x.cn", 2, T0 + 3, T0 + 5)]


def test_refunds_and_points_without_end_do_not_overflow() -> None:
    refunds = [event("order.refunded", T0, f"r{n}", order_id="o", amount=10**15, currency="CNY") for n in range(30)]
    points = [event("points.changed", T0, f"p{n}", delta=10**15) for n in range(10_000)]
    parts = fold_all([*refunds, *points])
    assert decode(encode(parts[0])) == parts[0]
