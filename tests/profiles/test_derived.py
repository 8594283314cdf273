"""What is derived: value, lifecycle, membership, interest, completeness, tags, names of expressions."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from profiles.derive import derive
from profiles.derived import COLUMNS
from profiles.facts import Facts
from profiles.lookup import lookup
from profiles.population import Population
from profiles.tags import RULES
from schemas.profile import Profile
from schemas.settings import Settings
from tests.profiles.support import DAY, HOUR, SETTINGS, T0, event, facts_of, item, paid, row_of

YEAR = 365 * DAY


def test_a_person_without_events_is_a_prospect_with_zeros_and_nulls() -> None:
    row = row_of(Facts([], SETTINGS), T0)
    assert (row["events"], row["orders"], row["revenue_minor"], row["cart_items"], row["points"]) == (0, 0, 0, 0, 0)
    assert row["lifecycle"] == "prospect"
    assert row["tier"] == "none"
    for name in ("first_seen", "currency", "aov_minor", "clv_minor", "nps", "rfm_r", "rfm_segment", "lifecycle_until"):
        assert row[name] is None
    assert row["tags"] == ["lifecycle:prospect"]


@pytest.mark.parametrize(
    ("days", "orders", "amount", "segment"),
    [
        (0, 3, 100_000, "重要价值"),
        (0, 2, 100_000, "重要发展"),
        (91, 3, 100_000, "重要保持"),
        (91, 2, 100_000, "重要挽留"),
        (90, 3, 99_999, "一般价值"),
        (90, 1, 99_999, "一般发展"),
        (91, 3, 99_999, "一般保持"),
        (91, 1, 99_999, "一般挽留"),
    ],
)
def test_fixed_cuts_give_the_eight_segments(days: int, orders: int, amount: int, segment: str) -> None:
    sums = [amount - orders + 1, *[1] * (orders - 1)]
    facts = facts_of(*(paid(T0 - n * HOUR, f"o{n}", part) for n, part in enumerate(sums)))
    row = row_of(facts, T0 + days * DAY)
    assert row["rfm_segment"] == segment
    assert row["tags"][0] == f"rfm:{segment}"


def test_money_is_judged_in_the_settings_currency() -> None:
    facts = facts_of(paid(T0, "a", 500_000, "USD"), paid(T0, "b", 1, "USD", event_id="b"), paid(T0 + 1, "c", 99_999))
    row = row_of(facts, T0 + 1)
    assert (row["rfm_f"], row["rfm_m"]) == (2, 1)


def _population(method: str, people: list[Facts]) -> tuple[Settings, Any]:
    settings = Settings.model_validate({"profiles": {"rfm": {"method": method}}})
    population = Population(settings)
    for person in people:
        population.add(person.orders())
    return settings, population.thresholds()


def _buyers(numbers: list[int]) -> list[Facts]:
    return [facts_of(*(paid(T0 + n * DAY + k, f"o{k}", 100) for k in range(n))) for n in numbers]


def _scores(person: Facts, settings: Settings, thresholds: Any) -> tuple[Any, ...]:
    profile = derive(person, T0 + 30 * DAY, settings, thresholds)
    return profile.rfm_r, profile.rfm_f, profile.rfm_m


def test_the_mean_method_asks_for_more_than_the_mean_of_buyers() -> None:
    people = _buyers([0, 1, 2, 3])
    settings, thresholds = _population("mean", people)
    assert [_scores(person, settings, thresholds) for person in people] == [(None,) * 3, (1,) * 3, (1,) * 3, (2,) * 3]


def test_fifths_give_scores_of_one_to_five_and_equals_score_the_same() -> None:
    people = _buyers([1, 2, 3, 4, 5, 5])
    settings, thresholds = _population("quantile", people)
    assert [_scores(person, settings, thresholds)[1] for person in people] == [1, 1, 2, 3, 4, 4]
    people = _buyers(list(range(1, 11)))
    settings, thresholds = _population("quantile", people)
    assert [_scores(person, settings, thresholds)[1] for person in people] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert derive(people[-1], T0, settings, thresholds).rfm_segment == "重要价值"
    tag = derive(people[-1], T0, settings, thresholds).tags[0]
    assert tag.facts["method"] == "quantile"
    assert tag.facts["cuts"]["frequency"] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("days", "stage", "since", "until"),
    [
        (0, "new", 0, 60),
        (59.9, "new", 0, 60),
        (60, "declining", 60, 180),
        (179.9, "declining", 60, 180),
        (180, "lost", 180, None),
    ],
)
def test_the_stage_changes_by_days_since_the_last_order(days: float, stage: str, since: int, until: int | None) -> None:
    row = row_of(facts_of(paid(T0, "o")), T0 + int(days * DAY))
    dates = (row["lifecycle"], row["lifecycle_since"], row["lifecycle_until"])
    assert dates == (stage, T0 + since * DAY, None if until is None else T0 + until * DAY)


def test_a_stage_began_with_the_order_that_reached_it_or_that_ended_a_pause() -> None:
    days = [0, 10, 20, 30, 40, 101, 110]
    orders = [paid(T0 + day * DAY, f"o{day}") for day in days]
    for number, stage, since in [(1, "new", 0), (3, "growing", 10), (5, "mature", 30), (7, "mature", 101)]:
        row = row_of(facts_of(*orders[:number]), T0 + days[number - 1] * DAY)
        assert (row["lifecycle"], row["lifecycle_since"]) == (stage, T0 + since * DAY)


def test_the_tier_counts_net_spend_after_now_less_365_days_up_to_now() -> None:
    facts = facts_of(paid(T0, "a", 1_000_000), paid(T0 + DAY, "b", 299_999), paid(T0 + 2 * DAY, "c", 9, "USD"))
    row = row_of(facts, T0 + DAY)
    assert (row["tier"], row["tier_until"], row["tier_next"]) == ("gold", T0 + YEAR, "diamond")
    assert row_of(facts, T0)["tier_spend_minor"] == 1_000_000
    assert row_of(facts, T0 + YEAR - 1)["tier"] == "gold"
    row = row_of(facts, T0 + YEAR)
    assert (row["tier"], row["tier_spend_minor"], row["tier_gap_minor"]) == ("none", 299_999, 1)
    assert row_of(facts_of(paid(T0, "a", 300_000)), T0)["tier"] == "silver"


def test_lifetime_value_is_average_order_value_by_orders_a_year_by_years_by_margin() -> None:
    orders = [paid(T0, "a", 1000), paid(T0 + DAY, "b", 3000)]
    assert row_of(facts_of(*orders), T0 + 2 * DAY)["clv_minor"] == 2000 * 2 * 3 * 3 // 10
    assert row_of(facts_of(*orders), T0 + 2 * YEAR)["clv_minor"] == 2000 * 1 * 3 * 3 // 10


def test_favourites_go_by_weight_and_of_equals_alphabetically() -> None:
    facts = facts_of(
        event("category.viewed", T0, category="b"),
        event("category.viewed", T0 + 1, category="a"),
        event("product.viewed", T0 + 2, sku="S", category="c"),
        event("category.viewed", T0 + 3, category="c"),
        paid(T0 + 4, "o", items=[item("A", category="d")], channel="app"),
    )
    row = row_of(facts, T0)
    assert row["favourite_categories"] == ["d", "c", "a", "b"]
    assert row["favourite_channels"] == ["app"]


def test_a_purchase_cycle_is_the_mean_time_between_orders_with_the_product() -> None:
    lines = [item("A", category="tea"), item("A", category="tea")]
    facts = facts_of(*(paid(T0 + day * DAY, f"o{day}", items=lines) for day in (0, 20, 60)), paid(T0, "x"))
    row = row_of(facts, T0)
    assert row["sku_cycle_days"] == {"A": 20.0}
    assert row["category_cycle_days"] == {"tea": 30.0}


def test_the_newest_statement_of_a_cycle_counts_and_later_orders_without_one_keep_it() -> None:
    book = facts_of(
        paid(T0, "a", items=[item("A", consumption_days=10)]),
        paid(T0 + 1, "b", items=[item("A", consumption_days=30)]),
        paid(T0 + 2, "c", items=[item("A", 3)]),
    ).orders()
    assert (book.cycle_days("A"), book.newest_by_sku["A"].order_id, book.cycle_days("B")) == (30, "c", None)


def test_habits_are_local() -> None:
    tokyo = event("customer.identified", T0, traits={"timezone": "Asia/Tokyo"})
    row = row_of(facts_of(tokyo, paid(T0 + 20 * HOUR, "o")), T0)
    assert (row["usual_weekday"], row["usual_hour"], row["timezone"]) == (5, 5, "Asia/Tokyo")


def test_a_streak_is_of_local_days_and_lasts_until_the_next_day_ends() -> None:
    checkins = [event("customer.checked_in", T0 + 15 * HOUR + n * DAY) for n in (0, 2, 3, 4)]  # 23:00 local
    facts = facts_of(*checkins)
    assert row_of(facts, T0 + 5 * DAY + 15 * HOUR)["streak_days"] == 3
    assert row_of(facts, T0 + 5 * DAY + 16 * HOUR)["streak_days"] == 0


def test_completeness_is_the_weight_of_what_is_known_over_all() -> None:
    facts = facts_of(event("customer.identified", T0, traits={"nickname": "Lei", "gender": "", "city": "Wuhan"}))
    assert row_of(facts, T0)["completeness"] == 0.4  # phone 2, name 1, city 1 of 10
    settings = Settings.model_validate({"profiles": {"completeness": {"phone": 1, "email": 2}}})
    assert derive(facts, T0, settings, None).completeness == 0.3333


def test_every_tag_says_why_and_has_titles() -> None:
    facts = facts_of(
        *(paid(T0 + n * DAY, f"o{n}", 400_000, coupon="X") for n in range(3)),
        *(
            event("order.refunded", T0 + 3 * DAY, f"r{n}", order_id=f"o{n}", amount=300_000, currency="CNY")
            for n in (0, 1)
        ),
        event("cart.added", T0 + 4 * DAY, sku="A", quantity=1),
        event("ticket.opened", T0 + 4 * DAY, ticket_id="t"),
        event("survey.answered", T0 + 4 * DAY, survey="nps", score=10),
    )
    profile = derive(facts, T0 + 5 * DAY, SETTINGS, None, "id")
    assert {tag.rule for tag in profile.tags} == {rule.name for rule in RULES}
    for tag in profile.tags:
        assert tag.facts
        assert tag.version >= 1
    row = row_of(facts, T0 + 5 * DAY)
    assert [reason["name"] for reason in msgspec.json.decode(row["tag_reasons"])] == row["tags"]
    assert all(rule.title_en and rule.title_zh for rule in RULES)


def test_next_change_is_the_first_instant_at_which_time_alone_changes_something() -> None:
    facts = facts_of(paid(T0, "o"))
    now = T0
    seen = []
    while (change := row_of(facts, now)["next_change_at"]) is not None:
        before, after = (row_of(facts, at) for at in (change - 1, change))
        keys = ("lifecycle", "tier", "rfm_r")
        assert [before[k] for k in keys] == [row_of(facts, now)[k] for k in keys]
        assert [before[k] for k in keys] != [after[k] for k in keys]
        seen.append((change - T0) // DAY)
        now = change
    assert seen == [60, 90, 180]


def test_the_public_profile_describes_every_field_and_holds_every_column() -> None:
    schema = Profile.model_json_schema()
    assert all("description" in field for field in schema["properties"].values())
    assert set(schema["properties"]) == {"one_id", "identifiers", *COLUMNS} - {"tag_reasons"}
    facts = facts_of(event("cart.added", T0, sku="A", quantity=2, unit_price=5))
    profile = derive(facts, T0, SETTINGS, None, "id")
    assert Profile.model_validate_json(profile.model_dump_json()) == profile
    assert profile.carts[0].value_minor == 10


def test_names_of_expressions_stand_for_facts() -> None:
    facts = facts_of(
        paid(T0, "o", 12_345),
        event("cart.added", T0 + 1, sku="B", quantity=2, unit_price=150),
        event("customer.identified", T0, traits={"city": "Wuhan"}),
    )
    names = {
        "orders": 1,
        "revenue": Decimal("123.45"),
        "cart.items": 2,
        "cart.value": Decimal("3.00"),
        "cart.skus": ["B"],
        "traits.city": "Wuhan",
        "count.order.paid": 1,
        "lifecycle": "new",
        "tier": "none",
        "nps": None,
        "open_tickets": 0,
        "days_since_order": 0,
        "unheard_of": None,
    }
    assert {name: facts.lookup(name) for name in names} == names
    assert lookup(facts, "lifecycle", T0 + 60 * DAY) == "declining"
