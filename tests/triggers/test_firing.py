"""Every rule of firing: the order of the checks, holds, caps, holdouts, late evidence, parts that move."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import StateError
from schemas.mark import EXPIRED, FIRED, HELD, PASSED, Mark
from tests.triggers.fakes import DAY, HOUR, FakePart, Person, at
from triggers.engine import NAMESPACE, in_holdout, trigger_id
from triggers.instances import NEVER
from triggers.terms import share

NOON = at("2026-03-02 12:00")
AT_ONCE = {"since": "app.opened", "after": 0}
SERVICE = {**AT_ONCE, "purpose": "service"}


def test_without_consent_at_the_firing_it_is_suppressed_and_consent_later_changes_nothing():
    person = Person({"r": AT_ONCE}, only="r", consent=())
    person.happens(NOON, "app.opened")
    [row] = person.until(NOON)
    assert (row.outcome, row.reason, row.fired_ms, row.channels, row.identifiers) == (
        "suppressed",
        "consent",
        None,
        (),
        (),
    )
    person.happens(NOON + HOUR, "customer.consented", purpose="marketing", granted=True)
    assert person.until(NOON + DAY) == []


def test_consent_given_at_the_instant_of_the_firing_counts():
    person = Person({"r": AT_ONCE}, only="r", consent=())
    person.happens(NOON, "app.opened")
    person.happens(NOON, "customer.consented", purpose="marketing", granted=True)
    assert [row.outcome for row in person.until(NOON)] == ["fired"]


def test_consent_comes_before_when_and_when_before_caps():
    none = Person({"r": {**AT_ONCE, "when": "orders > 5"}}, only="r", consent=())
    none.happens(NOON, "app.opened")
    assert [row.reason for row in none.until(NOON)] == ["consent"]
    person = Person({"r": {**AT_ONCE, "when": "orders > 5"}, "a": AT_ONCE}, only="r", cap={"marketing": "1 per 1d"})
    person.happens(NOON, "app.opened")
    assert [row.rule for row in person.until(NOON)] == ["a"]


def test_a_when_that_is_false_leaves_no_row_and_is_final():
    person = Person({"r": {**AT_ONCE, "when": "orders > 0"}}, only="r")
    person.happens(NOON, "app.opened", event_id="x")
    assert person.until(NOON) == []
    assert person.parts["phone:1"].marks == {"r||x": Mark(PASSED, NOON, "marketing")}
    person.pays(NOON + HOUR)
    assert person.until(NOON + DAY) == []


def test_when_is_asked_at_the_firing_and_knows_the_instance_and_the_time():
    rule = {
        "since": "cart.changed",
        "after": "1h",
        "when": "cart.value > 4.99 and now > 0",
        "emit": {"skus": "cart.items"},
    }
    person = Person({"r": rule}, only="r")
    person.happens(NOON, "cart.added", sku="A")
    assert [row.payload for row in person.until(NOON + HOUR)] == [{"skus": ["A"]}]


def test_caps_come_before_quiet_hours():
    person = Person({"a": {**AT_ONCE, "quiet_hours": "off"}, "b": AT_ONCE}, only="a", cap={"marketing": "1 per 1d"})
    night = at("2026-03-02 23:00")
    person.happens(night, "app.opened")
    assert [(row.rule, row.outcome, row.reason) for row in person.until(night)] == [
        ("a", "fired", None),
        ("b", "suppressed", "cap"),
    ]


def test_quiet_hours_come_before_expiry():
    person = Person({"r": {**AT_ONCE, "expires_after": "1h"}}, only="r")
    person.knows(at("2026-03-02 19:00"), "app.opened")
    person.now = at("2026-03-02 23:00")
    assert person.until(at("2026-03-03 07:59")) == []
    assert [(r.outcome, r.decided_ms) for r in person.until(at("2026-03-03 09:00"))] == [
        ("expired", at("2026-03-03 08:00"))
    ]


@pytest.mark.parametrize(
    ("when", "goes"),
    [
        ("2026-03-02 21:59", "2026-03-02 21:59"),
        ("2026-03-02 22:00", "2026-03-03 08:00"),
        ("2026-03-03 00:00", "2026-03-03 08:00"),
        ("2026-03-03 07:59", "2026-03-03 08:00"),
        ("2026-03-03 08:00", "2026-03-03 08:00"),
    ],
)
def test_quiet_hours_hold_from_their_beginning_to_their_end(when: str, goes: str):
    person = Person({"r": AT_ONCE}, only="r")
    person.happens(at(when), "app.opened")
    person.until(at("2026-03-04 10:00"))
    assert [(row.due_ms, row.fired_ms) for row in person.rows] == [(at(when), at(goes))]


@pytest.mark.parametrize(
    ("when", "goes"), [("11:59", "11:59"), ("12:00", "13:00"), ("12:59", "13:00"), ("13:00", "13:00")]
)
def test_quiet_hours_within_a_day_hold_likewise(when: str, goes: str):
    person = Person({"r": AT_ONCE}, only="r", quiet_hours={"from": "12:00", "to": "13:00"})
    person.happens(at(f"2026-03-02 {when}"), "app.opened")
    person.until(at("2026-03-02 20:00"))
    assert [row.fired_ms for row in person.rows] == [at(f"2026-03-02 {goes}")]


def test_what_is_held_is_looked_at_only_at_the_end_and_everything_is_checked_again():
    person = Person({"r": AT_ONCE}, only="r")
    person.happens(at("2026-03-02 23:00"), "app.opened", event_id="x")
    person.until(at("2026-03-02 23:00"))
    end = at("2026-03-03 08:00")
    assert person.parts["phone:1"].marks == {"r||x": Mark(HELD, end, "marketing")}
    assert person.wake == end
    person.happens(end, "customer.consented", purpose="marketing", granted=False)
    assert [(row.outcome, row.reason) for row in person.until(end)] == [("suppressed", "consent")]


def test_what_is_called_off_while_it_is_held_never_fires():
    person = Person({"r": {**AT_ONCE, "until": ["order.placed", "app.opened"]}}, only="r")
    person.happens(at("2026-03-02 23:00"), "app.opened")
    person.until(at("2026-03-03 00:00"))
    person.happens(at("2026-03-03 07:00"), "order.placed", order_id="o", items=[("A",)])
    assert person.until(at("2026-03-05 00:00")) == []


def test_quiet_hours_are_those_of_the_persons_time_zone_and_may_hold_again_after_a_move():
    person = Person({"r": AT_ONCE}, only="r")
    person.happens(at("2026-03-02 23:00"), "app.opened")
    person.until(at("2026-03-03 00:00"))
    person.happens(at("2026-03-03 01:00"), "customer.identified", timezone="Europe/London")
    [row] = person.until(at("2026-03-05 00:00"))
    assert row.fired_ms == at("2026-03-03 08:00", "Europe/London")


def test_quiet_hours_hold_marketing_only_unless_a_rule_has_its_own():
    night = at("2026-03-02 23:00")
    person = Person({"r": SERVICE, "s": {**SERVICE, "quiet_hours": {"from": 1320, "to": "23:30"}}}, only="r")
    person.happens(night, "app.opened")
    person.until(night + DAY)
    assert person.outcomes() == [("r", "fired", night), ("s", "fired", night + HOUR // 2)]


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-03-28 23:00", "2026-03-29 08:00"),  # the clocks go forward
        ("2026-10-24 23:00", "2026-10-25 08:00"),  # and back
        ("2026-10-25 08:00", None),
    ],
)
def test_the_end_of_quiet_hours_is_local_also_when_the_clocks_change(now: str, end: str | None):
    person = Person({"r": AT_ONCE}, only="r", timezone="Europe/Berlin")
    person.happens(at(now, "Europe/Berlin"), "app.opened")
    person.until(at("2026-11-04 10:00"))
    assert person.rows[0].fired_ms == at(end or now, "Europe/Berlin")


def test_the_general_cap_counts_all_rules_of_the_purpose_in_the_order_of_rule_instance_anchor():
    person = Person({"c": AT_ONCE, "a": AT_ONCE, "b": AT_ONCE, "s": SERVICE}, only="c")
    person.happens(NOON, "app.opened")
    assert [(row.rule, row.outcome, row.reason) for row in person.until(NOON)] == [
        ("a", "fired", None),
        ("b", "fired", None),
        ("c", "suppressed", "cap"),
        ("s", "fired", None),
    ]


def test_instances_of_one_rule_go_by_instance_then_anchor():
    person = Person(only="cart-abandon")
    for cart_id in ("c3", "c1", "c2"):
        person.happens(NOON, "cart.added", sku="A", cart_id=cart_id)
    assert [(row.instance, row.outcome) for row in person.until(NOON + DAY)] == [
        ("c1", "fired"),
        ("c2", "fired"),
        ("c3", "suppressed"),
    ]


@pytest.mark.parametrize(("gap", "outcome"), [(7 * DAY - 1, "suppressed"), (7 * DAY, "fired"), (0, "suppressed")])
def test_a_cap_counts_what_fired_in_the_window_that_ends_now_its_start_left_out(gap: int, outcome: str):
    person = Person({"r": {**SERVICE, "cap": "1 per 7d"}}, only="r")
    person.happens(NOON, "app.opened", event_id="a")
    person.until(NOON)
    person.happens(NOON + gap, "app.opened", event_id="b")
    person.until(NOON + gap)
    assert [row.outcome for row in person.rows] == ["fired", outcome]


def test_a_rules_own_cap_stands_beside_the_general_one():
    person = Person({"r": {**AT_ONCE, "cap": "9 per 7d"}}, only="r")
    for hour in range(3):
        person.happens(NOON + hour * HOUR, "app.opened")
        person.until(NOON + hour * HOUR)
    assert [row.outcome for row in person.rows] == ["fired", "fired", "suppressed"]


def test_a_rule_with_cap_off_is_free_of_the_general_cap_and_still_counts_for_it():
    person = Person({"a": {**AT_ONCE, "cap": False}, "b": AT_ONCE}, only="a", cap={"marketing": "1 per 1d"})
    for hour in range(2):
        person.happens(NOON + hour * HOUR, "app.opened")
        person.until(NOON + hour * HOUR)
    assert [(row.rule, row.outcome) for row in person.rows] == [
        ("a", "fired"),
        ("b", "suppressed"),
        ("a", "fired"),
        ("b", "suppressed"),
    ]


def test_what_is_suppressed_or_held_out_counts_for_no_cap():
    person = Person(
        {"a": {**AT_ONCE, "holdout": "100%"}, "b": AT_ONCE, "c": AT_ONCE}, only="a", cap={"marketing": "1 per 1d"}
    )
    person.happens(NOON, "app.opened")
    person.until(NOON)
    assert [(row.rule, row.outcome) for row in person.rows] == [("a", "held_out"), ("b", "fired"), ("c", "suppressed")]
    person.happens(NOON + DAY, "app.opened")
    person.until(NOON + DAY)
    assert [(row.rule, row.outcome) for row in person.rows[3:]] == [
        ("a", "held_out"),
        ("b", "fired"),
        ("c", "suppressed"),
    ]


def test_caps_count_by_fired_time_and_over_all_parts_of_the_person():
    person = Person({"r": {**AT_ONCE, "cap": "1 per 1d"}}, only="r", cap=False)
    person.parts["email:x"] = FakePart("email:x", {"r||old": Mark(FIRED, NOON - 1, "marketing")})
    person.happens(NOON, "app.opened")
    assert [row.reason for row in person.until(NOON)] == ["cap"]


def test_a_held_out_person_gets_no_message_but_a_row_with_its_time():
    person = Person({"r": AT_ONCE}, only="r", holdout="100%")
    person.happens(NOON, "app.opened")
    [row] = person.until(NOON)
    assert (row.outcome, row.fired_ms, row.channels, row.reason) == ("held_out", NOON, (), None)


def test_holdout_goes_by_rule_and_oldest_identifier_and_about_the_asked_share_is_held_out():
    tenth = share("10%").threshold
    idents = [f"phone:{n}" for n in range(5000)]
    held = [ident for ident in idents if in_holdout("r", ident, tenth)]
    assert 420 <= len(held) <= 580
    assert held != [ident for ident in idents if in_holdout("s", ident, tenth)]
    person = Person({"r": AT_ONCE}, only="r", holdout="10%", one_id=min(held))
    person.happens(NOON, "app.opened")
    assert [row.outcome for row in person.until(NOON)] == ["held_out"]
    assert not any(in_holdout("r", f"phone:{n}", share("0%").threshold) for n in range(100))
    assert all(in_holdout("r", f"phone:{n}", share("100%").threshold) for n in range(100))


def test_expiry_comes_before_holdout():
    person = Person({"r": {**AT_ONCE, "expires_after": "1h", "holdout": "100%"}}, only="r")
    person.knows(NOON, "app.opened")
    person.now = NOON + HOUR
    assert [row.outcome for row in person.until(NOON + HOUR)] == ["expired"]


def test_a_rule_without_a_channel_lists_those_of_its_purpose_and_one_with_a_channel_only_that():
    person = Person({"a": AT_ONCE, "b": {**AT_ONCE, "channel": "sms"}}, only="a")
    person.happens(NOON, "app.opened")
    assert [(row.channels, row.identifiers) for row in person.until(NOON)] == [
        (("email", "sms"), ("phone:1",)),
        (("sms",), ("phone:1",)),
    ]


def test_the_id_is_of_rule_instance_and_anchor_and_not_of_person_or_version():
    def fired(**extra: object) -> str:
        person = Person({"r": {**AT_ONCE, **extra}}, only="r", one_id=f"phone:{len(extra)}")
        person.happens(NOON, "app.opened", event_id="x")
        return person.until(NOON)[0].trigger_id

    assert fired() == fired(version=7) == str(uuid5(uuid5(NAMESPACE_URL, "kith:trigger"), "r\0\0x"))
    assert UUID(fired()).version == 5
    assert trigger_id(("r", "a", "b")) != trigger_id(("r", "ab", ""))


def test_the_id_of_a_calendar_date_is_of_the_part_and_the_date_and_not_of_the_stating_event():
    def fired(event_id: str, part: str) -> str:
        person = Person(only="birthday")
        person.happens(NOON, "customer.identified", part, event_id=event_id, birthday="05-01")
        return person.until(at("2026-05-01 10:00"))[0].trigger_id

    assert fired("x", "phone:1") == fired("y", "phone:1") != fired("x", "phone:2")


def test_a_calendar_date_fires_once_for_person_and_year_across_merges_and_corrections():
    person = Person(only="birthday")
    person.happens(NOON, "customer.identified", birthday="05-01")
    person.until(at("2026-05-01 10:00"))
    # another part, which also had its firing, and a later statement of another date
    person.parts["email:x"] = FakePart("email:x")
    person.happens(at("2026-05-02 12:00"), "customer.identified", "email:x", birthday="06-01")
    person.until(at("2027-12-31 12:00"))
    assert [row.fired_ms for row in person.rows] == [at("2026-05-01 10:00"), at("2027-06-01 10:00")]


def test_a_year_that_was_decided_is_not_decided_again_for_any_date():
    person = Person(only="birthday", consent=())
    person.happens(NOON, "customer.identified", birthday="05-01")
    person.until(at("2026-05-01 10:00"))
    person.happens(at("2026-05-01 11:00"), "customer.consented", purpose="marketing", granted=True)
    person.happens(at("2026-05-01 11:00"), "customer.identified", "email:x", birthday="05-01")
    person.happens(at("2026-05-02 11:00"), "customer.identified", birthday="06-01")
    person.until(at("2026-12-31 12:00"))
    assert [(row.instance, row.outcome, row.due_ms) for row in person.rows] == [
        ("2026", "suppressed", at("2026-05-01 10:00")),
    ]


def test_marks_travel_with_the_anchors_part_so_that_neither_a_merge_nor_a_split_fires_twice():
    person = Person(only="dormancy-60")
    person.pays(NOON, part="phone:1")
    person.until(NOON + 61 * DAY)
    assert list(person.parts["phone:1"].marks.values()) == [Mark(FIRED, NOON + 60 * DAY, "marketing")]
    person.pays(NOON + 70 * DAY, part="email:x")  # merged
    person.until(NOON + 71 * DAY)
    alone = Person(only="dormancy-60")  # and split again
    alone.events, alone.parts, alone.now = person.events[:1], {"phone:1": person.parts["phone:1"]}, person.now
    assert alone.until(NOON + 400 * DAY) == []


def test_a_part_that_the_person_does_not_hold_stops_the_worker():
    person = Person({"r": AT_ONCE}, only="r")
    person.knows(NOON, "app.opened", part="email:gone")
    facts = person.facts
    facts._parts = {"phone:1": FakePart("phone:1")}
    with pytest.raises(StateError, match="email:gone"):
        person.engine.checks(facts)


def test_firing_twice_at_one_instant_does_nothing_the_second_time():
    person = Person()
    person.pays(NOON, cycle=1)
    person.happens(NOON, "app.opened")
    person.happens(NOON, "customer.identified", birthday="03-02")
    assert person.until(NOON)
    assert person.engine.fire_at(person.facts, NOON, "one", person.engine.checks(person.facts)) == []


def test_separators_in_cart_ids_keep_marks_apart():
    person = Person(only="cart-abandon", cap=False)
    person.happens(NOON, "cart.added", event_id="b|c", sku="A", cart_id="a")
    person.happens(NOON, "cart.added", event_id="c", sku="A", cart_id="a|b")
    person.happens(NOON, "cart.added", event_id="d", sku="A", cart_id="a%7Cb")
    assert len(person.until(NOON + DAY)) == 3
    assert len(person.parts["phone:1"].marks) == 3


def test_a_held_mark_of_another_part_holds_the_same_date():
    person = Person({"birthday": {"at": "23:00"}}, only="birthday")
    person.happens(NOON, "customer.identified", birthday="05-01")
    person.until(at("2026-05-01 23:00"))
    person.happens(at("2026-05-01 23:30"), "customer.identified", "email:x", birthday="05-01")
    end = at("2026-05-02 08:00")
    assert person.until(end - 1) == []
    [row] = person.until(end)
    assert (row.fired_ms, row.part) == (end, "email:x")
    assert person.wake == at("2027-05-01 23:00")


def test_a_view_sets_the_check_of_its_day_and_leaves_an_earlier_one():
    person = Person(only="browse-no-order")
    checks = [NEVER]
    assert person.engine.after_event(checks, person.facts, "product.viewed", NOON)
    assert checks == [at("2026-03-03 10:00")]
    person.engine.after_event(checks, person.facts, "product.viewed", NOON + DAY)
    assert checks == [at("2026-03-03 10:00")]
    assert not person.engine.after_event(checks, person.facts, "page.viewed", NOON)


def test_a_day_whose_decided_first_view_is_no_longer_among_the_facts_is_over():
    person = Person(only="browse-no-order")
    person.happens(NOON, "product.viewed")
    assert person.facts.views()
    person.parts["phone:1"].marks["browse-no-order|2026-03-02|gone"] = Mark(FIRED, NOON, "marketing")
    assert person.wake == NEVER
    person.parts["phone:1"].marks["browse-no-order|2026-03-02|gone"] = Mark(HELD, NOON, "marketing")
    assert person.wake == at("2026-03-03 10:00")


def test_an_expired_instance_is_marked_so():
    person = Person(only="welcome")
    person.knows(NOON, "customer.identified", birthday=None)
    person.now = NOON + DAY
    person.until(person.now)
    assert [mark.outcome for mark in person.parts["phone:1"].marks.values()] == [EXPIRED]


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_id_of_a_trigger_is_the_uuid5_of_its_identity(rule: str, instance: str):
    identity = (rule, instance, "e1")
    assert trigger_id(identity) == str(uuid5(NAMESPACE, "\0".join(identity)))
