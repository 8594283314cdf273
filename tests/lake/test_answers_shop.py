"""Answers over a generated shop, against the same counted by plain Python, one person after the other."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest.generator import generate
from lake.answers import ANSWERS, by_name
from lake.answers.opened import Opened, opened
from schemas.settings import Settings
from stream.replay import replay
from tests.lake.answer_tables import SHANGHAI

Shop = tuple[Opened, Path]
DAYS_90 = timedelta(days=90)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    events = folder / "events.jsonl"
    events.write_bytes(b"".join(generate(250, 300, 5)))
    replay([str(events)], folder / "out", Settings())
    with opened(folder / "out", ANSWERS) as found:
        yield found, folder / "out"


def answer(shop: Shop, name: str) -> list[dict[str, Any]]:
    chosen = by_name(name)
    assert chosen is not None
    return [dict(zip(chosen.columns, row, strict=True)) for row in shop[0].rows(chosen)]


def rows(shop: Shop, table: str, *columns: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(shop[1] / f"{table}.parquet", columns=list(columns)).to_pylist()
    return found


def local(moment: datetime) -> datetime:
    return moment.astimezone(SHANGHAI).replace(tzinfo=None)


def month_of(moment: datetime) -> date:
    return local(moment).date().replace(day=1)


def after(month: date, months: int = 1) -> date:
    place = month.year * 12 + month.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def start(month: date) -> datetime:
    return datetime(month.year, month.month, 1)


@pytest.fixture(scope="module")
def bought(shop: Shop) -> dict[str, list[datetime]]:
    """Each buyer's orders, the earliest first."""
    found = defaultdict(list)
    for row in rows(shop, "orders", "one_id", "paid_at"):
        found[row["one_id"]].append(row["paid_at"])
    return {one_id: sorted(moments) for one_id, moments in found.items()}


@pytest.fixture(scope="module")
def now(shop: Shop) -> datetime:
    moment = shop[0].local(shop[0].as_of)
    assert moment is not None
    return moment.replace(tzinfo=None)


def test_cohorts(shop: Shop, bought: dict[str, list[datetime]], now: datetime) -> None:
    cohorts = defaultdict(list)
    for moments in bought.values():
        cohorts[month_of(moments[0])].append({month_of(moment) for moment in moments})
    expected = {}
    for cohort, members in cohorts.items():
        later = 0
        while start(after(cohort, later)) <= now:
            customers = sum(after(cohort, later) in months for months in members)
            over = start(after(cohort, later + 1)) <= now
            expected[cohort, later] = (len(members), customers, customers / len(members), over)
            later += 1
    told = answer(shop, "cohort-retention")
    assert {
        (row["cohort"], row["months_later"]): (row["size"], row["customers"], row["share"], row["complete"])
        for row in told
    } == expected
    assert len(expected) > 30


def test_repeat_rates(shop: Shop, bought: dict[str, list[datetime]], now: datetime) -> None:
    cohorts = defaultdict(list)
    for moments in bought.values():
        days = (moments[1] - moments[0]) / timedelta(days=1) if len(moments) > 1 else None
        cohorts[month_of(moments[0])].append(days)
    told = {row["cohort"]: row for row in answer(shop, "repeat")}
    assert told.keys() == cohorts.keys()
    for cohort, gaps in cohorts.items():
        came = [days for days in gaps if days is not None]
        row = told[cohort]
        assert (row["buyers"], row["repeaters"]) == (len(gaps), len(came))
        ripe = start(after(cohort)) + DAYS_90 <= now
        assert row["repeat_rate_90"] == (sum(days <= 90 for days in came) / len(gaps) if ripe else None)
        assert row["days_median"] == (pytest.approx(median(came)) if came else None)


def test_the_funnel(shop: Shop) -> None:
    steps = defaultdict(list)
    for row in rows(shop, "events", "one_id", "type", "time"):
        if row["one_id"] is not None:
            steps[month_of(row["time"]), row["one_id"]].append((row["time"], row["type"]))
    counts = {kind: Counter[date]() for kind in ("viewed", "carted", "ordered")}
    for (month, _), events in steps.items():
        looks = [time for time, kind in events if kind == "product.viewed"]
        carts = [time for time, kind in events if kind == "cart.added" and looks and time >= min(looks)]
        paid = [time for time, kind in events if kind == "order.paid" and carts and time >= min(carts)]
        for name, found in zip(counts, (looks, carts, paid), strict=True):
            counts[name][month] += bool(found)
    told = answer(shop, "funnel")
    for name, by_month in counts.items():
        assert {row["month"]: row[name] for row in told} == {month: by_month[month] for month in counts["viewed"]}
    assert sum(counts["ordered"].values()) > 50


def test_key_figures(shop: Shop, bought: dict[str, list[datetime]], now: datetime) -> None:
    days = {one_id: [local(moment) for moment in moments] for one_id, moments in bought.items()}
    money = Counter[date]()
    for row in rows(shop, "orders", "paid_at", "currency", "amount_minor", "refunded_minor"):
        if row["currency"] == "CNY":
            money[month_of(row["paid_at"])] += row["amount_minor"] - row["refunded_minor"]

    def within(moments: list[datetime], begins: datetime, ends: datetime) -> bool:
        return any(begins <= moment < ends for moment in moments)

    told = answer(shop, "kpi")
    assert [row["month"] for row in told] == [after(told[0]["month"], place) for place in range(len(told))]
    assert told[-1]["month"] == now.date().replace(day=1)
    churned = 0
    for row in told:
        begins, ends = start(row["month"]), start(after(row["month"]))
        active = [moments for moments in days.values() if within(moments, begins, ends)]
        assert row["active"] == len(active)
        assert row["new_customers"] == sum(moments[0] >= begins for moments in active)
        assert row["orders"] == sum(begins <= moment < ends for moments in active for moment in moments)
        assert row["revenue_minor"] == money[row["month"]]
        here = [moments for moments in days.values() if within(moments, begins - DAYS_90, begins)]
        left = [moments for moments in here if not within(moments, ends - DAYS_90, ends)]
        assert row["churn"] == (len(left) / len(here) if here and ends <= now else None)
        churned += len(left)
    assert churned > 20
