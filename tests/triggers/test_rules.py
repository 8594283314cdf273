"""Rules as they are written: what is accepted, overridden and turned off, and the errors that name the field."""

from typing import Any

import pytest
import yaml

from schemas.errors import ConfigError
from schemas.settings import Settings, TriggerSettings
from tests.triggers.fakes import DAY, HOUR, Person, at
from triggers.anchors import Calendar, CartChanged, Occurrence, PaidOrder
from triggers.engine import Engine
from triggers.explain import explain
from triggers.instances import NEVER
from triggers.rules import RuleSet, build_rules
from triggers.terms import Cap, Quiet

NOON = at("2026-03-02 12:00")

WRITTEN = """
quiet_hours: {from: 22:00, to: 08:00}
cap: {marketing: 3 per 2d, service: off}
holdout: 5%
rules:
  cart-abandon: {after: 12h, cap: off, quiet_hours: {from: 21:30, to: "7:05"}}
  birthday: off
  my-cart:
    title: {en: Cart left behind, zh: 购物车遗留}
    since: cart.changed
    key: cart_id
    until: order.placed
    after: 24h
    when: cart.value > 0
    purpose: marketing
    cap: 1 per 7d
    quiet_hours: default
    holdout: 10%
    expires_after: 24h
    goal: {event: order.paid, within: 3d}
    emit: {sku: cart.items, value: cart.value}
"""


def rules_of(text: str) -> RuleSet:
    return RuleSet.from_settings(Settings(triggers=TriggerSettings(**yaml.safe_load(text))))


def test_the_documented_yaml_is_read_as_it_is_meant_also_where_yaml_reads_numbers_and_booleans():
    ruleset = rules_of(WRITTEN)
    assert ruleset.quiet == Quiet(22 * 60, 8 * 60)
    assert ruleset.caps == {"marketing": Cap(3, 2 * DAY)}
    mine, core = ruleset.rule("my-cart"), ruleset.rule("cart-abandon")
    assert (mine.since, mine.until, mine.after, mine.cap) == (CartChanged(), ("order.placed",), DAY, Cap(1, 7 * DAY))
    assert mine.goal is not None
    assert (mine.goal.event, mine.goal.within, mine.expires_after) == ("order.paid", 3 * DAY, DAY)
    assert (core.after, core.cap, core.quiet_hours) == (12 * HOUR, "off", Quiet(21 * 60 + 30, 7 * 60 + 5))
    assert core.expires_after == DAY
    assert ruleset.held_out(core).percent == 5
    assert ruleset.held_out(mine).percent == 10
    assert "birthday" not in [rule.name for rule in ruleset.rules]
    assert [rule.name for rule in ruleset.rules] == sorted(rule.name for rule in ruleset.rules)


def test_general_quiet_hours_and_caps_can_be_off():
    ruleset = rules_of("{quiet_hours: off, cap: off, holdout: off}")
    assert (ruleset.quiet, ruleset.caps, ruleset.holdout.threshold) == (None, {}, 0)


def test_a_core_rule_whose_time_is_changed_does_not_show_the_old_explanation():
    ruleset = rules_of(WRITTEN)
    shown = "\n".join(explain(ruleset.rule("cart-abandon"), ruleset))
    assert "12 hours later" in shown
    assert "24 hours and" not in shown
    assert "24 小时内" not in "\n".join(explain(ruleset.rule("cart-abandon"), ruleset, "zh"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("after", "12", "such as 90s"),
        ("after", 12, "unit"),
        ("after", "99999d", "at most 36600 days"),
        ("after", "cycle - 5d", "cycle needs"),
        ("since", "order.foo", "unknown event type 'order.foo'"),
        ("since", "customer.linked", "steward"),
        ("since", {"count": "app.opened"}, "counting events within a window is not supported"),
        ("since", {"journey": "x"}, "step of a journey is not supported"),
        ("since", {"business_hours": "x"}, "business hours is not supported"),
        ("since", {"left": "lifecycle.new"}, "leaving a stage, tag or segment is not supported"),
        ("since", {"entered": "tag.vip"}, "supported are lifecycle.new"),
        ("since", {"first": "cart.changed"}, "only the last is supported"),
        ("since", {"calendar": {"trait": "b", "months": 12}}, "from -11 to 11"),
        ("since", {"calendar": {"days": 2}}, "calendar must be"),
        ("since", ["app.opened"], "must be an event type"),
        ("key", "sku", "can have key: cart_id"),
        ("until", "order.foo", "unknown event type"),
        ("until", 3, "list of them"),
        ("at", "10:00", "only for a calendar date"),
        ("when", "cart.value >", "missing"),
        ("when", "'a'", "condition"),
        ("when", True, "as text"),
        ("purpose", "", "at least 1"),
        ("cap", "2 a day", "2 per 1d"),
        ("cap", "0 per 1d", "2 per 1d"),
        ("cap", "1 per 0", "longer than 0"),
        ("quiet_hours", {"from": "22:00"}, "default, off or"),
        ("quiet_hours", {"from": "22:00", "to": "25:00"}, "to must be a time of day"),
        ("quiet_hours", {"from": "22:00", "to": 1320}, "the same"),
        ("holdout", "101%", "0% to 100%"),
        ("holdout", "nan%", "0% to 100%"),
        ("holdout", 0.1, "such as 10%"),
        ("expires_after", "0", "longer than 0"),
        ("goal", {"event": "order.paid"}, "required"),
        ("goal", {"event": "x", "within": "3d"}, "unknown event type"),
        ("emit", {"a": "1 +"}, "a: "),
        ("emit", "x", "map of names"),
        ("version", 0, "greater than or equal to 1"),
        ("title", {"en": "x", "de": "y"}, "title"),
        ("expires", "1d", "unknown field; a rule has"),
        ("name", "x", "its key"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it(field: str, value: Any, message: str):
    with pytest.raises(ConfigError, match=message) as error:
        build_rules({"cart-abandon": {"key": None, field: value}})
    place = "since" if field == "key" else field
    assert str(error.value).startswith(f"triggers.rules.cart-abandon.{place}")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"Mine": {}}, "triggers.rules.Mine: a rule's name"),
        ({"mine": {}}, "triggers.rules.mine.since: is missing"),
        ({"mine": False}, "triggers.rules.mine: only a rule of the core"),
        ({"mine": None}, "triggers.rules.mine: is no rule of the core"),
        ({"birthday": "soon"}, "triggers.rules.birthday: must be off"),
        ({"birthday": {"after": "1d"}}, "triggers.rules.birthday.after: a calendar date is moved"),
        ({"birthday": {"until": "order.placed"}}, "triggers.rules.birthday.until: a calendar date"),
        ({"birthday": {"at": "24:00"}}, "triggers.rules.birthday.at: must be a time of day"),
        ({"browse-no-order": {"after": "5h"}}, "triggers.rules.browse-no-order.after: the first view"),
        ({"reorder-due": {"until": "app.opened"}}, "triggers.rules.reorder-due.until: a purchase"),
    ],
)
def test_a_wrong_rule_is_an_error_that_names_it(rules: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as error:
        build_rules(rules)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("general", "message"),
    [
        ({"quiet_hours": "22-8"}, "triggers.quiet_hours: must be"),
        ({"cap": "2 per 1d"}, "triggers.cap: must be off or a map"),
        ({"cap": {"marketing": "two"}}, "triggers.cap.marketing: must be"),
        ({"holdout": "x"}, "triggers.holdout: must be"),
    ],
)
def test_a_wrong_general_setting_is_an_error_that_names_it(general: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as error:
        RuleSet.from_settings(Settings(triggers=TriggerSettings(**general)))
    assert str(error.value).startswith(message)


def test_an_unknown_rule_is_an_error_that_names_those_there_are():
    with pytest.raises(ConfigError, match="welcome"):
        RuleSet.from_settings(Settings()).rule("welcom")


@pytest.mark.parametrize(
    ("since", "anchor"),
    [
        ("custom.tasted", Occurrence("last", "custom.tasted")),
        ({"last": "app.opened"}, Occurrence("last", "app.opened")),
        ({"first": "app.opened"}, Occurrence("first", "app.opened")),
        ("order.paid", PaidOrder("last")),
        ("ticket.resolved", Occurrence("last", "ticket.resolved")),
        ({"calendar": {"trait": "x", "months": -40, "once": True}}, Calendar("x", -40, 0, True)),
    ],
)
def test_own_anchors(since: Any, anchor: object):
    [rule] = [rule for rule in build_rules({"mine": {"since": since}}) if rule.name == "mine"]
    assert rule.since == anchor


def test_a_custom_event_is_followed_and_called_off_by_any_event_of_a_list():
    rule = {"since": {"first": "custom.tasted"}, "until": ["custom.bought", "chat.started"], "after": "2h"}
    person = Person({"mine": rule}, only="mine")
    person.happens(NOON, "custom.tasted")
    person.happens(NOON + 1, "custom.tasted")
    assert [row.fired_ms for row in person.until(NOON + DAY)] == [NOON + 2 * HOUR]
    for event in ("custom.bought", "chat.started"):
        other = Person({"mine": rule}, only="mine")
        other.happens(NOON, "custom.tasted")
        other.happens(NOON + HOUR, event)
        assert other.until(NOON + DAY) == []


def test_a_babys_sixth_month_comes_once_at_the_end_of_a_shorter_month():
    rule = {"since": {"calendar": {"trait": "baby_birthday", "months": 6, "once": True}}, "at": "09:00"}
    person = Person({"baby": rule}, only="baby")
    person.happens(NOON, "customer.identified", baby_birthday="2025-06-30")
    assert person.wake == NEVER  # it was the year before the trait was stated
    person.happens(NOON + HOUR, "customer.identified", baby_birthday="2026-08-31")
    person.until(NOON + 3000 * DAY)
    assert [(row.rule, row.instance, row.fired_ms) for row in person.rows] == [("baby", "2027", at("2027-02-28 09:00"))]


def test_a_week_before_a_birthday_at_the_turn_of_the_year_comes_every_year():
    rule = {"since": {"calendar": {"trait": "birthday", "days": -7}}}
    person = Person({"week": rule}, only="week")
    person.happens(NOON, "customer.identified", birthday="01-03")
    person.until(at("2028-01-01 00:00"))
    assert [row.fired_ms for row in person.rows] == [at("2026-12-27 10:00"), at("2027-12-27 10:00")]


def test_a_reopened_ticket_calls_off_a_rule_that_says_so():
    rule = {"since": "ticket.resolved", "key": "ticket_id", "until": "ticket.reopened", "after": "2h"}
    person = Person({"care": rule}, only="care", quiet_hours=False)
    person.happens(NOON, "ticket.resolved", ticket_id="a")
    person.happens(NOON, "ticket.resolved", ticket_id="b")
    person.happens(NOON + HOUR, "ticket.reopened", ticket_id="a")
    assert [row.instance for row in person.until(NOON + DAY)] == ["b"]
    assert person.engine.affected("ticket.reopened") == person.engine.watches


@pytest.mark.parametrize(
    ("stage", "orders", "entered"),
    [
        ("declining", [0], 60),
        ("lost", [0], 180),
        ("declining", [0, 30], 90),
        ("new", [0], 0),
        ("growing", [0, 10, 20], 10),
        ("mature", [0, 1, 2, 3, 4], 3),
        ("growing", [0, 10, 80], 80),  # 70 days of silence: declining in between
    ],
)
def test_entering_a_stage_is_when_the_paid_orders_say_so(stage: str, orders: list[int], entered: int):
    person = Person({"s": {"since": {"entered": f"lifecycle.{stage}"}}}, only="s", cap=False)
    for day in orders:
        person.pays(NOON + day * DAY)
    person.until(NOON + 400 * DAY)
    assert person.rows[-1].fired_ms == NOON + entered * DAY


def test_leaving_the_stage_before_the_time_is_up_calls_it_off():
    rule = {"since": {"entered": "lifecycle.growing"}, "after": "30d"}
    person = Person({"s": rule}, only="s")
    for day in (0, 1, 5, 20):
        person.pays(NOON + day * DAY)
    assert person.until(NOON + 400 * DAY) == []
    late = Person({"s": {**rule, "after": "60d"}}, only="s")
    late.pays(NOON)
    late.pays(NOON + DAY)
    assert late.until(NOON + 400 * DAY) == []


def test_an_event_that_no_rule_reads_affects_none_and_the_others_only_those_that_read_them():
    settings = Settings()
    engine = Engine(RuleSet.from_settings(settings), settings)
    names = {kind: [ready.rule.name for ready in engine.affected(kind)] for kind in ("page.viewed", "custom.x")}
    assert names == {"page.viewed": [], "custom.x": []}
    assert [ready.rule.name for ready in engine.affected("product.viewed")] == ["browse-no-order"]
    assert [ready.rule.name for ready in engine.affected("cart.added")] == ["cart-abandon"]
    assert [ready.rule.name for ready in engine.affected("customer.identified")] == [
        "birthday",
        "browse-no-order",
        "welcome",
    ]
    assert len(engine.affected("order.paid")) == 8
