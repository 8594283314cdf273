"""The counts, sums and everything else of a profile that follows from events, by SQL alone.

`Ledger.fill` works on the events of some people at a time, so that memory is bounded however many there are.
"""

from collections.abc import Sequence
from fractions import Fraction
from zoneinfo import available_timezones

import duckdb

from lake.audit import sql_activity, sql_expected, sql_orders
from schemas.money import to_minor
from schemas.settings import Settings

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS

WEIGHTS = {"phone": 2, "order": 2, "email": 1, "name": 1, "birthday": 1, "gender": 1, "city": 1, "consent": 1}
"""Of completeness, out of the box (docs/profiles.md, `Completeness`)."""

NAMED_ALSO = {
    "name": ("full_name", "first_name", "last_name", "nickname"),
    "birthday": ("birth_date", "birthdate"),
    "city": ("address",),
}

STATEMENTS = (
    *sql_activity.STATEMENTS,
    *sql_orders.STATEMENTS,
    sql_orders.USUAL,
    *sql_activity.AFTER_ORDERS,
    sql_expected.EXPECTED,
)


def prepare(connection: duckdb.DuckDBPyConnection, settings: Settings, now_ms: int) -> None:
    """Set what the statements need of the settings: variables, and the tables `tiers`, `fields` and `zones`."""
    profiles = settings.profiles
    rfm, life = profiles.rfm, profiles.lifecycle
    factor = Fraction(str(profiles.clv.years)) * Fraction(str(profiles.clv.margin))
    weights = dict(profiles.completeness) or WEIGHTS
    fields = [
        (field, trait, float(weight))
        for field, weight in weights.items()
        for trait in (field, *NAMED_ALSO.get(field, ()))
    ]
    variables: dict[str, object] = {
        "now": now_ms,
        "horizon_ms": settings.horizon_days * DAY_MS,
        "currency": settings.currency,
        "timezone": settings.timezone,
        "year_ms": YEAR_MS,
        "declining_ms": life.declining_days * DAY_MS,
        "lost_ms": life.lost_days * DAY_MS,
        "mature_orders": life.mature_orders,
        "growing_orders": life.growing_orders,
        "rfm_fixed": rfm.method == "fixed",
        "recency_ms": rfm.recency_days * DAY_MS,
        "frequency_orders": rfm.frequency_orders,
        "money_minor": to_minor(rfm.money, settings.currency),
        "clv_up": factor.numerator,
        "clv_down": factor.denominator,
        "traits": sorted({"timezone", *(trait for _, trait, _ in fields)}),
    }
    connection.execute("SET TimeZone = 'UTC'")
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = ?", [value])
    tiers = [(name, to_minor(spend, settings.currency)) for name, spend in profiles.tiers.items()]
    _table(connection, "tiers", "name VARCHAR, least HUGEINT", tiers)
    _table(connection, "fields", "field VARCHAR, trait VARCHAR, weight DOUBLE", fields)
    known = {name for (name,) in connection.execute("SELECT name FROM pg_timezone_names()").fetchall()}
    _table(connection, "zones", "name VARCHAR", [(name,) for name in sorted(available_timezones() & known)])


def fill(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `expected` of what the table `ev` holds."""
    for statement in STATEMENTS:
        connection.execute(statement)


def _table(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
    if rows:
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608  our own names
