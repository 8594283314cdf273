"""A snapshot's tables in DuckDB, made by hand, row by row."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from lake.answers import ANSWERS, by_name, create
from lake.snapshot_tables import SNAPSHOT_TABLES

SHANGHAI = ZoneInfo("Asia/Shanghai")
Rows = Sequence[Mapping[str, Any]]
COMMON = {"lifecycle": "new", "tier": "none", "currency": "CNY", "revenue_minor": 0}


def at(local: str, zone: str = "Asia/Shanghai") -> datetime:
    """An instant by the clocks of a time zone."""
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def order(one_id: str, paid_at: str, amount: int = 1000, currency: str = "CNY", **more: Any) -> dict[str, Any]:
    row = {"one_id": one_id, "paid_at": at(paid_at), "amount_minor": amount, "refunded_minor": 0, "currency": currency}
    return {**row, "order_id": f"{one_id}/{paid_at}", **more}


def nps(month_day: str, score: float | None, scale: float | None = 10, survey: str = "nps") -> dict[str, Any]:
    row = {"one_id": "P", "survey": survey, "kind": "survey", "score": score, "scale": scale}
    return {**row, "answered_at": at(month_day)}


def fill(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime | None,
    tables: Mapping[str, Rows],
    zone: str = "Asia/Shanghai",
    currency: str = "CNY",
) -> None:
    """Make every table of a snapshot, those not named without rows."""
    about = [] if as_of is None else [{"as_of": as_of, "timezone": zone, "currency": currency}]
    for table in SNAPSHOT_TABLES:
        rows = about if table.name == "snapshot" else tables.get(table.name, [])
        full = [{**(COMMON if table.name == "people" else {}), **row} for row in rows]
        connection.register("made", pa.Table.from_pylist(full, schema=table.schema))
        connection.execute(f"CREATE TABLE {table.name} AS FROM made")
        connection.unregister("made")


@contextmanager
def snapshot(as_of: str, zone: str = "Asia/Shanghai", currency: str = "CNY", **tables: Rows) -> Iterator["Asked"]:
    """Yield the answers over tables made by hand."""
    with duckdb.connect() as connection:
        fill(connection, at(as_of, zone), tables, zone, currency)
        create(connection, ANSWERS)
        yield Asked(connection)


class Asked:
    """Asks an answer."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __call__(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """The rows of an answer, shares to four places, months and days as text."""
        answer = by_name(name)
        assert answer is not None
        chosen = ", ".join(columns or answer.columns)
        found = self.connection.execute(f"SELECT {chosen} FROM {answer.view}").fetchall()
        return [tuple(map(_plain, row)) for row in found]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return str(value) if hasattr(value, "isoformat") else value


def write_snapshot(folder: Path, as_of: datetime | None, tables: Mapping[str, Rows]) -> Path:
    """Write a snapshot's folder: the database with its views."""
    folder.mkdir(parents=True)
    with duckdb.connect(str(folder / "kith.duckdb")) as connection:
        fill(connection, as_of, tables)
        create(connection, ANSWERS)
    return folder


def everything(folder: Path) -> Path:
    """Two snapshots in which every answer has something to show; the path of the later one."""
    segment = {"rfm_segment": "重要价值", "rfm_r": 2, "rfm_f": 2, "rfm_m": 2}
    people = [{"one_id": one_id, "lifecycle": "growing", "tier": "gold", **segment} for one_id in "abc"]
    orders = [order(one_id, day) for one_id in "abc" for day in ("2026-01-05", "2026-02-06", "2026-04-09")]
    items = [{**row, "sku": "milk"} for row in orders]
    for item in items:
        for column in ("amount_minor", "refunded_minor", "currency"):
            del item[column]
    steps = enumerate(("product.viewed", "cart.added", "order.paid"), 1)
    events = [{"one_id": "a", "type": kind, "time": at(f"2026-01-0{day}")} for day, kind in steps]
    outcomes = [("a", "fired"), ("b", "fired"), ("c", "held_out")]
    triggers = [
        {
            "rule": "welcome",
            "one_id": one_id,
            "outcome": outcome,
            "goal_at": at("2026-02-02") if one_id == "a" else None,
            "goal_until": at("2026-02-04"),
        }
        for one_id, outcome in outcomes
    ]
    ticket = {"opened_at": at("2026-01-02"), "open": False, "first_response_ms": 9_000_000, "resolution_ms": 90_000_000}
    changes = [{"tag": "tier:gold", "change": "entered", "at": at(f"2026-02-0{day}")} for day in (1, 2, 3)]
    tables: dict[str, Any] = {
        "people": people,
        "orders": orders,
        "order_items": items,
        "events": events,
        "triggers": triggers,
        "tickets": [ticket],
        "surveys": [nps("2026-01-03", 9), nps("2026-02-03", 3)],
        "tags": [{"one_id": one_id, "tag": "tier:gold"} for one_id in "abc"],
        "tag_changes": changes,
    }
    write_snapshot(folder / "1", at("2026-03-31"), {"people": [{"one_id": "a", "lifecycle": "prospect"}]})
    return write_snapshot(folder / "2", at("2026-04-30"), tables)
