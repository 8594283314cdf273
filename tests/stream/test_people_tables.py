"""The tables of what people have, against an independent reading of the same events."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lake.tables import PEOPLE_TABLES
from schemas.settings import Settings
from stream.replay import replay
from tests.differential.compare import read_rows
from tests.reference import facts as naive
from tests.reference.generate import generate
from tests.reference.parse import Event, read
from tests.reference.people import cluster, one_id
from tests.reference.settings import from_dict
from tests.reference.validate import minor

Rows = list[dict[str, Any]]


def people_of(lines: list[bytes]) -> dict[str, list[Event]]:
    """The events of each person, by the reference."""
    settings = from_dict(None)
    events, _, _ = read([("-", number, line) for number, line in enumerate(lines, 1)], settings)
    people = cluster(events, settings)
    owner = {}
    for group in people.groups:
        found = one_id(group, people, settings)
        if found is not None:
            owner |= {ident: found for ident in group if ident in people.seen}
    own: dict[str, list[Event]] = {each: [] for each in owner.values()}
    for event in events:
        if not event.command:
            own[owner[event.ids[0]]].append(event)
    return own


def orders(person: str, events: list[Event]) -> Rows:
    found = []
    for order in naive.orders(events):
        mine = [e for e in events if e.type.startswith("order.") and e.data["order_id"] == order.id]
        placed = [e.time for e in mine if e.type == "order.placed"]
        delivered = [e.time for e in mine if e.type == "order.delivered"]
        found.append(
            {
                "one_id": person,
                "order_id": order.id,
                "paid_at": order.anchor.time,
                "placed_at": placed[-1] if placed else None,
                "delivered_at": delivered[0] if delivered else None,
                "currency": order.currency,
                "amount_minor": order.amount,
                "refunded_minor": order.refunded,
                "cancelled": any(e.type == "order.cancelled" for e in mine),
                "event_id": order.anchor.id,
            }
        )
    return found


def order_items(person: str, events: list[Event]) -> Rows:
    return [
        {
            "one_id": person,
            "order_id": order.id,
            "line": line,
            "sku": item["sku"],
            "name": item.get("name"),
            "category": item.get("category"),
            "quantity": item["quantity"],
            "unit_price_minor": minor(item["unit_price"], order.currency)
            if item.get("unit_price") is not None
            else None,
            "paid_at": order.anchor.time,
        }
        for order in naive.orders(events)
        for line, item in enumerate(order.items, 1)
    ]


def carts(person: str, events: list[Event]) -> Rows:
    return [
        {
            "one_id": person,
            "cart_id": cart_id,
            "items": cart.quantity,
            "value_minor": cart.value,
            "changed_at": cart.anchor.time,
        }
        for cart_id, cart in naive.carts(events, from_dict(None)).items()
    ]


def tickets(person: str, events: list[Event]) -> Rows:
    found = []
    for ticket_id in {e.data["ticket_id"] for e in events if e.type.startswith("ticket.")}:
        own = [e for e in events if e.type.startswith("ticket.") and e.data["ticket_id"] == ticket_id]

        def times(kind: str, own: list[Event] = own) -> list[int]:
            return [e.time for e in own if e.type == f"ticket.{kind}"]

        going = [e.type for e in own if e.type in ("ticket.opened", "ticket.resolved", "ticket.reopened")]
        is_open = bool(going) and going[-1] != "ticket.resolved"
        ratings = [e.data["score"] for e in own if e.type == "ticket.rated"]
        opened = times("opened")[0] if times("opened") else None
        resolved = times("resolved")[-1] if times("resolved") and not is_open else None
        found.append(
            {
                "one_id": person,
                "ticket_id": ticket_id,
                "open": is_open,
                "opened_at": opened,
                "replied_at": times("replied")[0] if times("replied") else None,
                "resolved_at": resolved,
                "resolution_ms": None if opened is None or resolved is None or resolved < opened else resolved - opened,
                "rating": ratings[-1] if ratings else None,
            }
        )
    return found


def consents(person: str, events: list[Event]) -> Rows:
    words = [e for e in events if e.type == "customer.consented"]
    found = []
    for purpose, channel in {(e.data["purpose"], e.data.get("channel")) for e in words}:
        covering = [e for e in words if e.data["purpose"] == purpose and e.data.get("channel") in (None, channel)]
        at = max(e.time for e in covering)
        found.append(
            {
                "one_id": person,
                "purpose": purpose,
                "channel": channel,
                "granted": all(e.data["granted"] for e in covering if e.time == at),
                "at": at,
            }
        )
    return found


KEYS = {
    "orders": (orders, ("one_id", "order_id")),
    "order_items": (order_items, ("one_id", "order_id", "line")),
    "carts": (carts, ("one_id", "cart_id")),
    "tickets": (tickets, ("one_id", "ticket_id")),
    "consents": (consents, ("one_id", "purpose", "channel")),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_row_is_what_the_events_say(tmp_path: Path, seed: int) -> None:
    lines = generate(seed, 600)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    replay([str(tmp_path / "events.jsonl")], tmp_path / "out", Settings())
    people = people_of(lines)
    for table, (expected, key) in KEYS.items():
        ours = {tuple(row[name] for name in key): row for row in read_rows(tmp_path / "out" / f"{table}.parquet")}
        rows = [row for person, events in people.items() for row in expected(person, events)]
        theirs = {tuple(row[name] for name in key): row for row in rows}
        assert ours.keys() == theirs.keys(), table
        assert theirs, f"{table}: nothing to compare"
        for name, row in theirs.items():
            assert {column: ours[name][column] for column in row} == row, table


def test_tags_and_sums_are_those_of_the_profiles_and_the_views_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(generate(5, 600)) + b"\n")
    replay([str(tmp_path / "events.jsonl")], tmp_path / "out", Settings())
    tags = [(row["one_id"], row["tag"]) for row in read_rows(tmp_path / "out" / "tags.parquet")]
    profiles = read_rows(tmp_path / "out" / "profiles.parquet")
    assert tags == [(row["one_id"], tag) for row in profiles for tag in row["tags"]]
    with duckdb.connect(str(tmp_path / "out" / "kith.duckdb"), read_only=True) as database:
        sums = database.sql(
            "SELECT one_id, orders, revenue_minor, refunded_minor FROM people WHERE orders > 0 EXCEPT"
            " SELECT one_id, count(*), sum(amount_minor - o.refunded_minor) FILTER (o.currency = p.currency),"
            " sum(o.refunded_minor) FILTER (o.currency = p.currency)"
            " FROM orders o JOIN people p USING (one_id) GROUP BY one_id"
        ).fetchall()
        assert sums == []
        named = database.sql("SELECT count(*) FROM identifiers").fetchall()
        assert named == database.sql("SELECT count(*) FROM identities").fetchall()
        for table in PEOPLE_TABLES:
            assert database.sql(f"SELECT * FROM {table.name}").columns == [column.name for column in table.columns]
