"""Each ready answer on small tables, against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lake.answers import ANSWERS, create
from tests.lake.answer_tables import at, fill, nps, order, snapshot, write_snapshot

VIEWS = [answer for answer in ANSWERS if not answer.compared]


# Anna buys in January, February and April; Ben twice in January; Cleo in March, the last minute of it in Shanghai.
ORDERS = [
    order("anna", "2026-01-10", 10_000, refunded_minor=2_500),
    order("anna", "2026-02-10", 5_000),
    order("anna", "2026-04-10", 1_000),
    order("ben", "2026-01-20", 3_000),
    order("ben", "2026-01-30", 7_000, "USD"),
    order("cleo", "2026-03-31 23:59", 400),
]


def test_key_figures_count_new_and_active_customers_orders_and_net_revenue_of_each_local_month() -> None:
    with snapshot("2026-05-15", orders=ORDERS) as ask:
        rows = ask("kpi", "month", "new_customers", "active", "orders", "revenue_minor", "repeat_rate", "complete")
    assert rows == [
        ("2026-01-01", 2, 2, 3, 10_500, 0.0, True),  # 10,000 less 2,500 and 3,000; the dollars are left out
        ("2026-02-01", 0, 1, 1, 5_000, 1.0, True),
        ("2026-03-01", 1, 1, 1, 400, 0.0, True),
        ("2026-04-01", 0, 1, 1, 1_000, 1.0, True),
        ("2026-05-01", 0, 0, 0, 0, None, False),
    ]


def test_churn_is_who_had_bought_in_the_90_days_before_the_month_and_not_in_those_before_its_end() -> None:
    with snapshot("2026-07-20", orders=ORDERS) as ask:
        churn = dict(ask("kpi", "month", "churn"))
    assert churn == {
        "2026-01-01": None,
        "2026-02-01": 0.0,  # Anna and Ben, both still within 90 days on the first of March
        "2026-03-01": 0.0,  # both bought since the first of January, which is 90 days before the first of April
        "2026-04-01": 0.3333,  # Anna stays, Cleo stays; Ben's last order is of the 30th of January, 91 days before May
        "2026-05-01": 0.0,  # Anna and Cleo
        "2026-06-01": 0.5,  # Cleo's order was 91 days before the first of July, Anna's 82
        "2026-07-01": None,  # not over
    }


def test_an_order_just_90_days_before_a_month_counts_and_one_a_second_earlier_does_not() -> None:
    for moment, expected in (("2026-01-31 00:00:00", 0.0), ("2026-01-30 23:59:59", 1.0)):
        with snapshot("2026-06-02", orders=[order("anna", moment)]) as ask:
            assert dict(ask("kpi", "month", "churn"))["2026-04-01"] == expected, moment


def test_satisfaction_and_nps_stand_beside_the_orders_also_in_months_without_any() -> None:
    ratings = [
        {"kind": "ticket", "survey": "T1", "score": 4, "scale": 5, "answered_at": at("2025-12-31 23:00")},
        {"kind": "chat", "survey": "C1", "score": 1, "scale": 5, "answered_at": at("2025-12-01")},
    ]
    with snapshot("2026-01-31", orders=[order("a", "2026-01-02")], surveys=[*ratings, nps("2026-01-03", 9)]) as ask:
        assert ask("kpi", "month", "orders", "satisfaction", "nps") == [
            ("2025-12-01", 0, 2.5, None),
            ("2026-01-01", 1, None, 100.0),
        ]


def test_months_are_those_of_the_time_zone_of_the_snapshot() -> None:
    tables: dict[str, Any] = {"orders": [order("anna", "2026-01-01 07:59")]}  # before midnight in London
    with snapshot("2026-01-10", **tables) as ask:
        assert ask("kpi", "month", "orders") == [("2026-01-01", 1)]
    with snapshot("2026-01-10", zone="Europe/London", **tables) as ask:
        assert ask("kpi", "month", "orders") == [("2025-12-01", 1), ("2026-01-01", 0)]


def test_revenue_of_people_is_in_the_currency_of_the_snapshot_also_if_they_mostly_pay_in_another() -> None:
    dollars = {"currency": "USD", "revenue_minor": 9_900, "other_currencies": []}
    both = [{"currency": "CNY", "orders": 1, "revenue_minor": 700, "refunded_minor": 0}]
    high = {"rfm_segment": "重要价值", "rfm_r": 2, "rfm_f": 2, "rfm_m": 2}
    people = [
        {"one_id": "a", "tier": "gold", "revenue_minor": 5_000, **high},
        {"one_id": "b", "tier": "gold", **dollars, **high},
        {"one_id": "c", "tier": "gold", **dollars, "other_currencies": both},
        {"one_id": "d", "tier": "none", "currency": None},
    ]
    with snapshot("2026-01-10", people=people) as ask:
        assert ask("tiers") == [("gold", 3, 0.75, 5_700), ("none", 1, 0.25, 0)]
        assert ask("rfm-grid") == [("重要价值", 2, 2, 2, 2, 1.0, 5_000)]


def test_the_rfm_grid_counts_buyers_by_their_scores() -> None:
    def buyer(r: int, f: int, m: int, segment: str) -> dict[str, Any]:
        return {"rfm_r": r, "rfm_f": f, "rfm_m": m, "rfm_segment": segment, "revenue_minor": 100}

    people = [buyer(5, 1, 4, "重要发展"), buyer(4, 1, 4, "重要发展"), buyer(4, 1, 4, "重要发展"), {"one_id": "p"}]
    with snapshot("2026-01-10", people=people) as ask:
        assert ask("rfm-grid") == [("重要发展", 5, 1, 4, 1, 0.3333, 100), ("重要发展", 4, 1, 4, 2, 0.6667, 200)]


def event(one_id: str | None, kind: str, moment: str) -> dict[str, Any]:
    return {"one_id": one_id, "type": kind, "time": at(moment)}


def test_the_funnel_follows_each_person_from_look_to_cart_to_order_in_that_order_within_a_month() -> None:
    look, put, paid = "product.viewed", "cart.added", "order.paid"
    events = [
        *(event("all", kind, f"2026-01-0{day}") for day, kind in enumerate((look, put, paid), 1)),
        *(event("backwards", kind, f"2026-01-0{day}") for day, kind in enumerate((paid, put, look), 1)),
        *(event("paid first", kind, f"2026-01-0{day}") for day, kind in enumerate((look, paid, put), 1)),
        *(event("never looked", kind, f"2026-01-0{day}") for day, kind in enumerate((put, paid), 1)),
        *(event("second cart", kind, f"2026-01-0{day}") for day, kind in enumerate((put, look, put, paid), 1)),
        *(event("at once", kind, "2026-01-05") for kind in (look, put, paid)),
        *(event("in between", kind, f"2026-01-0{day}") for day, kind in enumerate((put, look, put, paid, put), 1)),
        *(event("around", kind, f"2026-01-0{day}") for day, kind in enumerate((put, look, paid, put), 1)),
        event("late", look, "2026-01-31 23:59"),
        event("late", put, "2026-02-01 00:01"),
        event("looker", look, "2026-02-03"),
        event(None, look, "2026-02-03"),
    ]
    with snapshot("2026-02-10", events=events) as ask:
        assert ask("funnel") == [
            ("2026-01-01", 8, 6, 4, 0.75, 0.6667, 0.5, True),
            ("2026-02-01", 1, 0, 0, 0.0, None, 0.0, False),
        ]


def test_a_cohort_is_followed_up_to_now_with_zero_where_nobody_came_and_nothing_for_months_to_come() -> None:
    with snapshot("2026-04-15", orders=ORDERS) as ask:
        assert ask("cohort-retention") == [
            ("2026-01-01", 0, 2, 2, 1.0, True),
            ("2026-01-01", 1, 2, 1, 0.5, True),
            ("2026-01-01", 2, 2, 0, 0.0, True),
            ("2026-01-01", 3, 2, 1, 0.5, False),
            ("2026-03-01", 0, 1, 1, 1.0, True),
            ("2026-03-01", 1, 1, 0, 0.0, False),
        ]


def test_repeat_rate_and_days_to_the_second_order() -> None:
    more = [order("dora", "2026-01-05"), order("dora", "2026-01-07 12:00"), order("dora", "2026-01-08")]
    with snapshot("2026-05-02", orders=[*ORDERS, *more]) as ask:
        assert ask("repeat") == [
            # 31, 10 and 2.5 days
            ("2026-01-01", 3, 3, 1.0, 1.0, 6.25, 10.0, 20.5, True),
            ("2026-03-01", 1, 0, 0.0, None, None, None, None, True),
        ]


def test_the_rate_within_90_days_waits_until_all_of_the_cohort_had_90_days() -> None:
    orders = [order("a", "2026-01-31"), order("a", "2026-05-05"), order("b", "2026-01-01"), order("b", "2026-04-01")]
    for now, expected in (("2026-05-01 23:59", None), ("2026-05-02 00:00", 0.5)):
        with snapshot(now, orders=[each for each in orders if each["paid_at"] <= at(now)]) as ask:
            assert ask("repeat", "repeat_rate_90") == [(expected,)], now


def test_the_purchase_cycle_is_between_orders_of_one_customer_with_one_product() -> None:
    def line(one_id: str, sku: str | None, moment: str, number: int = 1) -> dict[str, Any]:
        return {"one_id": one_id, "sku": sku, "order_id": moment, "paid_at": at(moment), "line": number}

    items = [
        line("a", "milk", "2026-01-01"),
        line("a", "milk", "2026-01-01", 2),  # twice in one order
        line("a", "milk", "2026-01-11"),
        line("a", "milk", "2026-01-31"),
        line("b", "milk", "2026-01-05"),
        line("b", "soap", "2026-01-05"),
        line("c", "soap", "2026-01-09"),
        line("c", None, "2026-01-10"),
        line("c", None, "2026-01-12"),
    ]
    with snapshot("2026-02-01", order_items=items) as ask:
        assert ask("purchase-cycle") == [("milk", 2, 2, 12.5, 15.0, 17.5)]


def test_tag_sizes_are_counted_back_from_who_has_the_tag_now() -> None:
    def change(one_id: str, what: str, moment: str) -> dict[str, Any]:
        return {"one_id": one_id, "tag": "vip", "change": what, "at": at(moment)}

    changes = [
        change("a", "entered", "2026-01-01 00:30"),
        change("b", "entered", "2026-01-01 12:00"),
        change("a", "left", "2026-01-03 12:00"),
    ]
    tags = [{"one_id": "b", "tag": "vip"}, {"one_id": "old", "tag": "vip"}, {"one_id": "old", "tag": "new"}]
    with snapshot("2026-01-05", tags=tags, tag_changes=changes) as ask:
        assert ask("tag-sizes") == [
            ("2026-01-01", "vip", 2, 0, 3),  # with one who had it before the lake began
            ("2026-01-03", "vip", 0, 1, 2),
            ("2026-01-05", "new", 0, 0, 1),
            ("2026-01-05", "vip", 0, 0, 2),
        ]


def fired(rule: str, one_id: str, outcome: str, goal: bool = False, reason: str | None = None) -> dict[str, Any]:
    goal_at = at("2026-01-02") if goal else None
    until = at("2026-01-03") if outcome in ("fired", "held_out") and rule != "no goal" else None
    row = {"rule": rule, "one_id": one_id, "outcome": outcome, "reason": reason}
    return {**row, "goal_at": goal_at, "goal_until": until}


def test_triggers_are_counted_by_rule_and_outcome() -> None:
    triggers = [
        *(fired("welcome", "a", "fired") for _ in range(3)),
        fired("welcome", "a", "held_out"),
        *(fired("welcome", "a", "suppressed", reason="cap") for _ in range(2)),
        fired("welcome", "a", "suppressed", reason="consent"),
        fired("birthday", "a", "expired"),
    ]
    with snapshot("2026-02-01", triggers=triggers) as ask:
        assert ask("triggers-by-rule") == [("welcome", 3, 1, 1, 2, 0, 7), ("birthday", 0, 0, 0, 0, 1, 1)]


def test_the_difference_of_two_shares_has_the_interval_of_newcombes_paper() -> None:
    """Table II of Newcombe (1998), case (a): 56 of 70 and 48 of 80, method 10: 0.0524 to 0.3339."""
    triggers = [fired("r", f"t{each}", "fired", each < 56) for each in range(70)]
    triggers += [fired("r", f"h{each}", "held_out", each < 48) for each in range(80)]
    with snapshot("2026-02-01", triggers=triggers) as ask:
        assert ask("goal-conversion") == [("r", 70, 56, 80, 48, 0.8, 0.6, 0.2, 0.0524, 0.3339)]


def test_a_person_counts_once_and_one_in_both_groups_not_at_all() -> None:
    triggers = [
        *(fired("r", "a", "fired", goal) for goal in (False, True, True)),
        fired("r", "b", "fired"),
        fired("r", "c", "held_out"),
        fired("r", "both", "held_out", True),
        fired("r", "both", "fired", True),
        fired("r", "d", "suppressed", reason="cap"),
        fired("no goal", "a", "fired"),
    ]
    with snapshot("2026-02-01", triggers=triggers) as ask:
        assert ask("goal-conversion", "rule", "treated", "treated_reached", "held_out", "held_out_reached") == [
            ("r", 2, 1, 1, 0)
        ]


def test_without_anybody_held_out_there_is_a_rate_and_no_difference() -> None:
    with snapshot("2026-02-01", triggers=[fired("r", "a", "fired", True), fired("r", "b", "fired")]) as ask:
        assert ask("goal-conversion") == [("r", 2, 1, 0, 0, 0.5, None, None, None, None)]
    with snapshot("2026-02-01", triggers=[fired("r", "a", "held_out", True)]) as ask:
        assert ask("goal-conversion") == [("r", 0, 0, 1, 1, None, 1.0, None, None, None)]


def test_response_and_resolution_times_are_of_tickets_by_the_month_of_their_opening() -> None:
    hour = 3_600_000

    def ticket(opened: str | None, reply: int | None, resolution: int | None) -> dict[str, Any]:
        moment = None if opened is None else at(opened)
        row = {
            "opened_at": moment,
            "open": resolution is None,
            "replied_at": None if reply is None else at("2026-03-01"),
        }
        return {
            **row,
            "first_response_ms": None if reply is None else reply * hour,
            "resolution_ms": None if resolution is None else resolution * hour,
        }

    tickets = [
        ticket("2026-01-01", 1, 10),
        ticket("2026-01-31 23:59", 3, None),
        ticket("2026-01-15", None, 30),
        ticket(None, 99, 99),
        ticket("2026-02-01", None, None),
    ]
    with snapshot("2026-02-10", tickets=tickets) as ask:
        assert ask("service-times") == [
            ("2026-01-01", 3, 1, 1, 2.0, 2.8, 20.0, 28.0, True),
            ("2026-02-01", 1, 1, 1, None, None, None, None, False),
        ]


def test_nps_counts_answers_of_every_scale_and_only_of_that_survey() -> None:
    surveys = [
        nps("2026-01-01", 9),
        nps("2026-01-02", 8.9),
        nps("2026-01-03", 7),
        nps("2026-01-04", 6.9),
        nps("2026-01-05", 4.5, 5),
        nps("2026-01-06", 10, survey="after-sales"),
        nps("2026-01-07", None),
        nps("2026-01-08", 5, None),
        {**nps("2026-01-09", 1), "kind": "ticket"},
        nps("2026-02-01 00:00", 0),
    ]
    with snapshot("2026-02-10", surveys=surveys) as ask:
        assert ask("nps-over-time") == [
            ("2026-01-01", 5, 2, 2, 1, 20.0, True),
            ("2026-02-01", 1, 0, 0, 1, -100.0, False),
        ]


@pytest.mark.parametrize("as_of", ["2026-02-10", None])
def test_without_rows_every_answer_is_empty(as_of: str | None) -> None:
    with duckdb.connect() as connection:
        fill(connection, None if as_of is None else at(as_of), {})
        assert create(connection, ANSWERS) == [answer.view for answer in VIEWS]
        for answer in VIEWS:
            assert connection.execute(f"FROM {answer.view}").fetchall() == [], answer.name


def test_one_buyer_is_enough_for_every_answer_about_orders() -> None:
    with snapshot("2026-01-31", orders=[order("a", "2026-01-15")]) as ask:
        assert ask("kpi") == [("2026-01-01", 1, 1, 1, 1000, 0.0, None, None, None, False)]
        assert ask("cohort-retention") == [("2026-01-01", 0, 1, 1, 1.0, False)]
        assert ask("repeat") == [("2026-01-01", 1, 0, 0.0, None, None, None, None, False)]
        assert ask("purchase-cycle") == []


def test_each_view_and_column_is_described_in_english_and_chinese() -> None:
    with duckdb.connect() as connection:
        fill(connection, at("2026-01-01"), {})
        create(connection, ANSWERS)
        views = dict(connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
        columns = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE table_name IN (SELECT view_name "
            "FROM duckdb_views() WHERE NOT internal)"
        ).fetchall()
    assert set(views) == {answer.view for answer in VIEWS}
    found = {(view, column): comment for view, column, comment in columns}
    for answer in VIEWS:
        assert all(text in views[answer.view] for text in (*answer.title, *answer.note))
        assert [column for view, column, _ in columns if view == answer.view] == list(answer.columns)
        for column, words in answer.columns.items():
            assert found[answer.view, column] == " · ".join(words)


def test_every_answer_says_all_in_both_languages() -> None:
    for answer in ANSWERS:
        for en, zh in (answer.title, answer.note, answer.empty):
            assert en.isascii() or "“" in en
            assert not zh.isascii(), answer.name


def test_answers_that_take_half_the_page_stand_in_pairs() -> None:
    wide = "".join("w" if answer.wide else "-" for answer in ANSWERS)
    assert not wide.replace("w", " ").replace("--", "").strip()


def test_the_views_work_in_plain_duckdb_read_only_and_attached_under_any_name(tmp_path: Path) -> None:
    file = write_snapshot(tmp_path / "s", at("2026-05-15"), {"orders": ORDERS}) / "kith.duckdb"
    with duckdb.connect(str(file), read_only=True) as connection:
        expected = connection.execute("SELECT month, active FROM kpi ORDER BY month").fetchall()
        assert connection.execute("SELECT kith_month(max(paid_at))::VARCHAR FROM orders").fetchall() == [
            ("2026-04-01",)
        ]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE orders AS SELECT 'mine' AS one_id")
        connection.execute(f"ATTACH '{file}' AS other (READ_ONLY)")
        connection.execute("SET TimeZone = 'America/New_York'")
        assert connection.execute("SELECT month, active FROM other.kpi ORDER BY month").fetchall() == expected
