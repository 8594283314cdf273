"""Every row of the catalogue, at its boundaries."""

import pytest

from schemas.settings import Settings
from tests.triggers.fakes import DAY, HOUR, MINUTE, Person, at
from triggers.explain import explain, summary
from triggers.rules import RuleSet

NOON = at("2026-03-02 12:00")


def one(person: Person, until: int) -> tuple[str, str | None, str, int, int | None]:
    [row] = person.until(until)
    return row.rule, row.instance, row.outcome, row.due_ms, row.fired_ms


def test_welcome_fires_at_once_at_the_first_identification_and_never_again():
    person = Person(only="welcome")
    anchor = person.happens(NOON, "customer.identified")
    [row] = person.until(NOON)
    assert (row.anchor_event_id, row.due_ms, row.fired_ms, row.instance) == (anchor, NOON, NOON, None)
    person.happens(NOON + 2 * DAY, "customer.identified")
    assert person.until(NOON + 30 * DAY) == []


def test_a_cart_fires_24_hours_after_its_last_change_and_not_a_millisecond_earlier():
    person = Person(only="cart-abandon")
    person.happens(NOON - HOUR, "cart.added", sku="A", cart_id="c1")
    person.happens(NOON, "cart.added", sku="B", cart_id="c1")
    assert person.until(NOON + DAY - 1) == []
    assert one(person, NOON + DAY) == ("cart-abandon", "c1", "fired", NOON + DAY, NOON + DAY)
    assert person.rows[0].payload == {
        "cart_id": "c1",
        "items": [
            {"sku": "A", "quantity": 1, "unit_price_minor": 500},
            {"sku": "B", "quantity": 1, "unit_price_minor": 500},
        ],
        "value": 10,
    }


def test_a_cart_without_an_id_has_no_instance_and_each_cart_is_an_instance():
    person = Person(only="cart-abandon", cap=False)
    person.happens(NOON, "cart.added", sku="A")
    person.happens(NOON, "cart.added", sku="A", cart_id="c2")
    assert [row.instance for row in person.until(NOON + DAY)] == [None, "c2"]


@pytest.mark.parametrize("event", ["order.placed", "order.paid"])
def test_an_order_at_the_very_instant_the_cart_is_due_calls_it_off(event: str):
    person = Person(only="cart-abandon")
    person.happens(NOON, "cart.added", sku="A", cart_id="c1")
    person.happens(NOON + DAY, event, "email:x", order_id="o", items=[("Z",)])
    assert person.until(NOON + 9 * DAY) == []


def test_a_bare_payment_is_no_order_and_leaves_the_cart_reminder():
    person = Person(only="cart-abandon")
    person.happens(NOON, "cart.added", sku="A", cart_id="c1")
    person.happens(NOON + HOUR, "order.paid", order_id="o")
    assert len(person.until(NOON + DAY)) == 1


def test_an_order_before_the_change_by_id_at_the_same_instant_does_not_call_it_off():
    person = Person(only="cart-abandon")
    person.happens(NOON, "order.placed", event_id="a", order_id="o", items=[("Z",)])
    person.happens(NOON, "cart.added", event_id="b", sku="A")
    assert len(person.until(NOON + DAY)) == 1


def test_emptying_the_cart_calls_it_off_and_a_change_after_the_firing_fires_anew():
    person = Person(only="cart-abandon")
    person.happens(NOON, "cart.added", sku="A", cart_id="c1")
    person.happens(NOON + HOUR, "cart.cleared", cart_id="c1")
    assert person.until(NOON + 3 * DAY) == []
    person.happens(NOON + 4 * DAY, "cart.added", sku="A", cart_id="c1")
    person.happens(NOON + 6 * DAY, "cart.added", sku="B", cart_id="c1")
    person.until(NOON + 9 * DAY)
    assert [row.fired_ms for row in person.rows] == [NOON + 5 * DAY, NOON + 7 * DAY]
    assert len({row.trigger_id for row in person.rows}) == 2


def test_browsing_fires_at_10_the_next_local_day_for_the_first_view_of_the_day():
    person = Person(only="browse-no-order")
    first = person.happens(at("2026-03-02 00:00"), "product.viewed", sku="A")
    person.happens(at("2026-03-02 23:59"), "product.viewed", sku="B")
    [row] = person.until(at("2026-03-03 10:00"))
    assert (row.instance, row.anchor_event_id, row.due_ms) == ("2026-03-02", first, at("2026-03-03 10:00"))
    assert row.payload == {"day": "2026-03-02"}
    assert person.until(at("2026-04-03 10:00")) == []


def test_an_order_after_the_first_view_calls_the_day_off_even_if_views_follow():
    person = Person(only="browse-no-order")
    person.happens(NOON, "product.viewed", sku="A")
    person.happens(NOON + HOUR, "order.placed", order_id="o", items=[("A",)])
    person.happens(NOON + 2 * HOUR, "product.viewed", sku="A")
    assert person.until(NOON + 5 * DAY) == []


@pytest.mark.parametrize(
    ("zone", "day", "due"),
    [
        ("Europe/Berlin", "2026-03-28 15:00", "2026-03-29 10:00"),  # 23 hours long
        ("Europe/Berlin", "2026-10-24 15:00", "2026-10-25 10:00"),  # 25 hours long
        ("America/New_York", "2026-03-07 23:30", "2026-03-08 10:00"),
        ("Pacific/Kiritimati", "2026-03-07 00:30", "2026-03-08 10:00"),
        ("Asia/Kathmandu", "2026-03-07 23:59", "2026-03-08 10:00"),
    ],
)
def test_the_local_day_and_10_oclock_are_those_of_the_persons_zone_also_when_clocks_change(
    zone: str, day: str, due: str
):
    person = Person(only="browse-no-order", quiet_hours=False)
    person.happens(at("2026-01-01 10:00"), "customer.identified", timezone=zone)
    person.happens(at(day, zone), "product.viewed", sku="A")
    assert one(person, at(due, zone)) == ("browse-no-order", day[:10], "fired", at(due, zone), at(due, zone))


def test_a_view_keeps_the_day_it_fired_for_when_the_time_zone_changes():
    person = Person(only="browse-no-order", quiet_hours=False)
    person.happens(at("2026-03-02 01:00"), "product.viewed", sku="A")
    person.until(at("2026-03-03 10:00"))
    person.happens(at("2026-03-03 11:00"), "customer.identified", timezone="Europe/London")
    person.happens(at("2026-03-03 12:00"), "product.viewed", sku="A")
    rows = person.until(at("2026-03-20 10:00"))
    assert [row.instance for row in rows] == ["2026-03-03"]


def test_reorder_is_due_5_days_before_the_packs_are_used_up_adding_up_quantities_of_one_order():
    person = Person(only="reorder-due")
    person.happens(NOON, "order.paid", order_id="o", items=[("A", 1, 30), ("A", 1, None), ("B", 1, None)])
    due = NOON + 55 * DAY
    assert person.until(due - 1) == []
    assert one(person, due) == ("reorder-due", "A", "fired", due, due)
    assert person.rows[0].payload == {"sku": "A", "quantity": 2, "cycle_days": 30, "order_id": "o"}


def test_a_short_cycle_is_due_at_the_purchase_itself_and_not_before():
    person = Person(only="reorder-due")
    person.pays(NOON, cycle=3)
    assert one(person, NOON)[3] == NOON


def test_a_later_purchase_of_the_sku_moves_the_reorder_and_one_of_another_sku_does_not():
    person = Person(only="reorder-due")
    person.pays(NOON, "A", cycle=30)
    person.pays(NOON + 10 * DAY, "A")
    person.pays(NOON + 12 * DAY, "B")
    assert one(person, NOON + 90 * DAY)[3] == NOON + 35 * DAY


def test_the_latest_stated_cycle_of_the_sku_counts():
    person = Person(only="reorder-due")
    person.pays(NOON, "A", cycle=30)
    person.pays(NOON + DAY, "A", cycle=60)
    assert one(person, NOON + 90 * DAY)[3] == NOON + 56 * DAY


@pytest.mark.parametrize("days", [60, 90, 180])
def test_dormancy_fires_that_many_times_24_hours_after_the_last_paid_order(days: int):
    person = Person(only=f"dormancy-{days}")
    person.pays(NOON)
    anchor = person.pays(NOON + 20 * DAY)
    due = NOON + (20 + days) * DAY
    assert person.until(due - 1) == []
    assert one(person, due) == (f"dormancy-{days}", None, "fired", due, due)
    assert person.rows[0].anchor_event_id == anchor


def test_a_paid_order_at_the_instant_dormancy_is_due_calls_it_off():
    person = Person(only="dormancy-60")
    person.pays(NOON)
    person.pays(NOON + 60 * DAY)
    assert one(person, NOON + 120 * DAY)[3] == NOON + 120 * DAY


def test_an_unpaid_order_does_not_call_dormancy_off():
    person = Person(only="dormancy-60")
    person.pays(NOON)
    person.happens(NOON + DAY, "order.placed", order_id="x", items=[("A",)])
    assert one(person, NOON + 60 * DAY)[3] == NOON + 60 * DAY


@pytest.mark.parametrize("days", [7, 30])
def test_second_order_fires_after_the_first_paid_order_unless_there_is_a_second(days: int):
    person = Person(only=f"second-order-{days}")
    person.pays(NOON)
    due = NOON + days * DAY
    assert one(person, due) == (f"second-order-{days}", None, "fired", due, due)
    other = Person(only=f"second-order-{days}")
    other.pays(NOON)
    other.pays(due)
    assert other.until(due + 400 * DAY) == []


def test_the_anchor_of_a_bare_payment_is_the_payment_and_it_counts_once_the_order_is_known():
    person = Person(only="second-order-7")
    paid = person.happens(NOON, "order.paid", order_id="o")
    person.until(NOON + DAY)
    person.happens(NOON + DAY, "order.placed", order_id="o", items=[("A",)])
    [row] = person.until(NOON + 30 * DAY)
    assert (row.anchor_event_id, row.due_ms) == (paid, NOON + 7 * DAY)


def test_a_birthday_fires_at_10_local_every_year_from_the_year_it_became_known():
    person = Person(only="birthday")
    person.happens(at("2026-03-02 12:00"), "customer.identified", birthday="1990-05-01")
    person.until(at("2028-12-31 12:00"))
    assert [(row.instance, row.outcome, row.fired_ms) for row in person.rows] == [
        (year, "fired", at(f"{year}-05-01 10:00")) for year in ("2026", "2027", "2028")
    ]
    assert person.rows[0].payload == {"date": "2026-05-01"}
    assert len({row.trigger_id for row in person.rows}) == 3


def test_a_birthday_already_past_in_the_year_it_became_known_is_expired_or_fires_late():
    person = Person(only="birthday")
    person.happens(at("2026-05-01 21:59"), "customer.identified", birthday="05-01")
    assert one(person, at("2026-05-01 21:59"))[2:] == ("fired", at("2026-05-01 10:00"), at("2026-05-01 21:59"))
    late = Person(only="birthday")
    late.happens(at("2026-06-01 12:00"), "customer.identified", birthday="05-01")
    assert one(late, at("2026-06-01 12:00"))[2:] == ("expired", at("2026-05-01 10:00"), None)


def test_29_february_is_the_28th_in_other_years():
    person = Person(only="birthday")
    person.happens(at("2027-01-02 12:00"), "customer.identified", birthday="02-29")
    person.until(at("2029-01-01 12:00"))
    assert [row.fired_ms for row in person.rows] == [at("2027-02-28 10:00"), at("2028-02-29 10:00")]


@pytest.mark.parametrize("value", ["1990-02-29", "13-01", "5-1", "1990/05/01", "", None, 501, "００-01", "0000-05-01"])
def test_what_is_no_date_is_no_birthday(value: object):
    person = Person(only="birthday")
    person.happens(NOON, "customer.identified", birthday=value)
    assert person.until(NOON + 800 * DAY) == []


def test_the_local_year_of_the_statement_counts():
    person = Person(only="birthday")
    person.happens(at("2026-12-31 23:00", "UTC"), "customer.identified", birthday="07-01")  # 2027 in Shanghai
    assert one(person, at("2027-07-01 10:00"))[1] == "2027"


def test_a_ticket_fires_at_once_when_resolved_and_again_when_resolved_again():
    person = Person(only="ticket-resolved")
    night = at("2026-03-02 23:30")  # quiet hours are for marketing
    person.happens(night, "ticket.resolved", ticket_id="t1")
    person.happens(night + DAY, "ticket.reopened", ticket_id="t1")
    person.happens(night + 2 * DAY, "ticket.resolved", ticket_id="t1")
    person.until(night + 9 * DAY)
    assert [(r.instance, r.purpose, r.fired_ms) for r in person.rows] == [
        ("t1", "service", night),
        ("t1", "service", night + 2 * DAY),
    ]


def test_a_low_score_fires_at_once_per_event_and_a_good_one_does_not():
    person = Person(only="low-score")
    low = person.happens(NOON, "chat.rated", score=2)
    person.happens(NOON + MINUTE, "chat.rated", score=3)
    person.until(NOON + 9 * DAY)
    [row] = person.rows
    assert (row.instance, row.fired_ms, row.payload["score"]) == (low, NOON, 2)


@pytest.mark.parametrize(
    ("rule", "expires"),
    [
        ("welcome", DAY),
        ("cart-abandon", DAY),
        ("browse-no-order", DAY // 2),
        ("reorder-due", 5 * DAY),
        ("dormancy-60", 7 * DAY),
        ("dormancy-90", 7 * DAY),
        ("dormancy-180", 7 * DAY),
        ("second-order-7", 7 * DAY),
        ("second-order-30", 7 * DAY),
        ("birthday", DAY // 2),
        ("ticket-resolved", DAY),
        ("low-score", DAY),
    ],
)
def test_what_is_known_late_fires_until_its_expiry_and_is_expired_from_then_on(rule: str, expires: int):
    facts = {
        "welcome": ("customer.identified", {}),
        "cart-abandon": ("cart.added", {"sku": "A"}),
        "browse-no-order": ("product.viewed", {"sku": "A"}),
        "birthday": ("customer.identified", {"birthday": "03-02"}),
        "ticket-resolved": ("ticket.resolved", {"ticket_id": "t"}),
        "low-score": ("chat.rated", {"score": 1}),
    }
    event_type, data = facts.get(rule, ("order.paid", {"order_id": "o", "items": [("A", 1, 30)]}))
    for late, outcome in ((expires - 1, "fired"), (expires, "expired")):
        person = Person(only=rule, quiet_hours=False)
        person.knows(NOON, event_type, **data)
        [due] = [each.due_ms for each in person.engine.watches[0].pending(person.facts, NOON)][:1]
        person.now = due + late
        [row] = person.until(due + late)
        assert (row.outcome, row.due_ms, row.decided_ms) == (outcome, due, due + late)
        assert row.fired_ms == (due + late if outcome == "fired" else None)


def test_the_rules_explain_themselves_in_both_languages():
    ruleset = RuleSet.from_settings(Settings())
    assert len(ruleset.rules) == 12
    for rule in ruleset.rules:
        en, zh = "\n".join(explain(rule, ruleset, "en")), "\n".join(explain(rule, ruleset, "zh"))
        assert rule.explanation.en in en
        assert rule.explanation.zh in zh
        assert summary(rule, "zh")[1] == rule.title.zh != rule.title.en
    assert "at most 2 in 24 hours for all of marketing" in "\n".join(explain(ruleset.rule("birthday"), ruleset))
