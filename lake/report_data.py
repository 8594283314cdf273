"""What the report shows, asked of the tables in SQL."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pyarrow import dataset

from lake.report_words import SEGMENTS, STAGES, outcome_key
from schemas.money import exponent
from schemas.times import format_ms

_TABLES = ("identities", "profiles", "triggers", "events", "identity_changes", "deadletters", "evidence")
Rows = list[tuple[Any, ...]]


class Tables:
    """The tables of a finished replay, to be asked in SQL under their names. Times come out as epoch ms."""

    def __init__(self, out_dir: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.names: set[str] = set()
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        for name in _TABLES:
            path = out_dir / f"{name}.parquet"
            if path.is_file():
                # not by read_parquet, which takes brackets and stars in a folder's name for a pattern
                connection.register(name, dataset.dataset(path, format="parquet"))
                self.names.add(name)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Return the rows of a query."""
        return self._connection.execute(sql, list(parameters)).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Return the only row of a query."""
        return self.rows(sql, parameters)[0]


@contextmanager
def open_tables(out_dir: Path) -> Iterator[Tables]:
    """Yield the tables of a folder that a replay wrote."""
    with duckdb.connect(":memory:") as connection:
        yield Tables(out_dir, connection)


@dataclass(frozen=True)
class Figures:
    """Everything the report and the printed summary show.

    Money is in major units of `currency`, the one most buyers use; amounts in others are left out. Months are
    `2026-06`, days and weeks (their Monday) `2026-06-29`, in `zone`.
    """

    cards: dict[str, int]
    currency: str
    revenue: float
    first: str
    last: str
    zone: str
    rfm: dict[str, tuple[int, float]]
    lifecycle: dict[str, int]
    orders: dict[str, dict[str, int]]
    cohorts: dict[str, float]
    activity: dict[str, int]
    rules: dict[str, dict[str, int]]
    triggers: dict[str, dict[str, int]]
    changes: dict[str, dict[str, int]]
    deadletters: dict[str, int]


def read_figures(out_dir: Path, zone: str = "Asia/Shanghai") -> Figures:
    """Read the figures of a finished replay. `zone` is the IANA time zone of its days, weeks and months."""
    with open_tables(out_dir) as tables:
        currency = _currency(tables)
        unit = 10.0 ** (exponent(currency) or 0)
        first_ms, last_ms = tables.one("SELECT epoch_ms(min(time)), epoch_ms(max(time)) FROM events")
        revenue = _revenue(tables, currency, unit)
        return Figures(
            cards=_cards(tables, out_dir),
            currency=currency,
            revenue=revenue,
            first="" if first_ms is None else format_ms(first_ms)[:10],
            last="" if last_ms is None else format_ms(last_ms)[:10],
            zone=zone,
            rfm=_rfm(tables, currency, unit),
            lifecycle=_lifecycle(tables),
            orders=_orders(tables, zone),
            cohorts=_cohorts(tables, currency, unit, zone),
            activity=_activity(tables, zone),
            rules=_rules(tables),
            triggers=_weekly(tables, "triggers", "outcome || coalesce(' ' || reason, '')", "due_at", zone),
            changes=_weekly(tables, "identity_changes", "change", '"at"', zone),
            deadletters=dict(tables.rows("SELECT reason, count(*) FROM deadletters GROUP BY 1 ORDER BY 2 DESC, 1")),
        )


def _currency(tables: Tables) -> str:
    found = tables.rows(
        "SELECT currency FROM profiles WHERE currency IS NOT NULL AND orders > 0 GROUP BY 1 ORDER BY count(*) DESC, 1"
    )
    return found[0][0] if found else "CNY"


def _revenue(tables: Tables, currency: str, unit: float) -> float:
    (minor,) = tables.one("SELECT coalesce(sum(revenue_minor), 0) FROM profiles WHERE currency = ?", [currency])
    return int(minor) / unit


def _cards(tables: Tables, out_dir: Path) -> dict[str, int]:
    counted = {
        "people": "count(DISTINCT one_id) FROM identities",
        "identifiers": "count(*) FROM identities",
        "events": "count(*) FROM events",
        "buyers": "count(*) FROM profiles WHERE orders > 0",
        "orders": "coalesce(sum(orders), 0) FROM profiles",
        "fired": "count(*) FROM triggers WHERE outcome = 'fired'",
        "merges": "count(*) FROM identity_changes WHERE change = 'merged'",
        "deadletters": "count(*) FROM deadletters",
    }
    cards = {name: int(tables.one("SELECT " + sql)[0]) for name, sql in counted.items()}
    path = out_dir / "summary.json"
    if path.is_file():
        duplicates = _find(json.loads(path.read_bytes()), "duplicates")
        if duplicates is not None:
            cards["duplicates"] = duplicates
    return cards


def _find(value: object, name: str) -> int | None:
    """Return the first number called `name` anywhere in nested objects."""
    if not isinstance(value, dict):
        return None
    here = value.get(name)
    if isinstance(here, int):
        return here
    return next((found for child in value.values() if (found := _find(child, name)) is not None), None)


def _rfm(tables: Tables, currency: str, unit: float) -> dict[str, tuple[int, float]]:
    found = tables.rows(
        "SELECT rfm_segment, count(*), coalesce(sum(revenue_minor) FILTER (currency = ?), 0) "
        "FROM profiles WHERE rfm_segment IS NOT NULL GROUP BY 1 ORDER BY 1",
        [currency],
    )
    known = {segment: (people, int(minor) / unit) for segment, people, minor in found}
    return {segment: known.get(segment, (0, 0.0)) for segment in [*SEGMENTS, *sorted(known.keys() - SEGMENTS.keys())]}


def _lifecycle(tables: Tables) -> dict[str, int]:
    known: dict[str, int] = dict(
        tables.rows("SELECT lifecycle, count(*) FROM profiles WHERE lifecycle IS NOT NULL GROUP BY 1 ORDER BY 1")
    )
    return {stage: known.get(stage, 0) for stage in [*STAGES, *sorted(known.keys() - STAGES.keys())]}


def _orders(tables: Tables, zone: str) -> dict[str, dict[str, int]]:
    found = tables.rows(
        "SELECT strftime(timezone(?, time), '%Y-%m') AS month, substr(type, 7), count(*) FROM events "
        "WHERE type IN ('order.paid', 'order.cancelled', 'order.refunded') GROUP BY 1, 2 ORDER BY 1, 2",
        [zone],
    )
    return _nested((kind, month, count) for month, kind, count in found)


def _cohorts(tables: Tables, currency: str, unit: float, zone: str) -> dict[str, float]:
    found = tables.rows(
        "SELECT strftime(timezone(?, first_order_at), '%Y-%m'), sum(revenue_minor) FROM profiles "
        "WHERE orders > 0 AND currency = ? AND first_order_at IS NOT NULL GROUP BY 1 ORDER BY 1",
        [zone, currency],
    )
    return {month: int(minor) / unit for month, minor in found}


def _activity(tables: Tables, zone: str) -> dict[str, int]:
    sql = "SELECT strftime(timezone(?, time), '%Y-%m-%d'), count(*) FROM events GROUP BY 1 ORDER BY 1"
    return dict(tables.rows(sql, [zone]))


def _rules(tables: Tables) -> dict[str, dict[str, int]]:
    found = tables.rows(
        "SELECT outcome, reason, rule, count(*) FROM triggers GROUP BY 1, 2, 3 "
        "ORDER BY sum(count(*)) OVER (PARTITION BY rule), rule, outcome, reason"
    )
    return _nested((outcome_key(outcome, reason), rule, count) for outcome, reason, rule, count in found)


def _weekly(tables: Tables, table: str, key: str, time: str, zone: str) -> dict[str, dict[str, int]]:
    found = tables.rows(
        f"SELECT {key}, strftime(date_trunc('week', timezone(?, {time})), '%Y-%m-%d'), count(*) FROM {table} "  # noqa: S608  constants of this file
        "GROUP BY 1, 2 ORDER BY 2, 1",
        [zone],
    )
    return _nested(iter(found))


def _nested(found: Iterator[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    series: dict[str, dict[str, int]] = {}
    for name, place, count in found:
        series.setdefault(name, {})[place] = count
    return series
