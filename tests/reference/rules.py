"""The catalogue of triggers.md: a person's instances, from the person's own events."""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from tests.reference.facts import DAY, Events, carts, is_order, orders, trait, zone
from tests.reference.parse import Event
from tests.reference.settings import Settings

HOUR = 3_600_000


@dataclass(frozen=True)
class Instance:
    rule: str
    name: str
    anchor: Event
    due: int
    purpose: str
    expires: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.rule, self.name, self.anchor.id


def local(ms: int, tz: tzinfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(tz)


def at(day: date, hour: int, minute: int, tz: tzinfo) -> int:
    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=tz)
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def instances(events: Events, s: Settings, until: int, day_of: Callable[[Event], str | None]) -> list[Instance]:
    """`day_of`: the local day that a view got when its instance was handled, if it was."""
    tz = zone(events, s)
    found = [*_marketing(events, s), *_views(events, tz, day_of), *_birthdays(events, tz, until)]
    for e in events:
        low = False
        if e.type == "ticket.resolved":
            found.append(Instance("ticket-resolved", e.data["ticket_id"], e, e.time, "service", DAY))
        elif e.type in ("chat.rated", "ticket.rated"):
            low = e.data["score"] <= 2
        elif e.type == "survey.answered":
            scale = e.data.get("scale")
            low = e.data["score"] * 100 <= 60 * (10 if scale is None else scale)
        if low:
            found.append(Instance("low-score", e.id, e, e.time, "service", DAY))
    return found


def _marketing(events: Events, s: Settings) -> Iterator[Instance]:
    for e in events:
        if e.type == "customer.identified":
            yield Instance("welcome", "", e, e.time, "marketing", DAY)
            break
    for cart_id, cart in carts(events, s).items():
        if not any(is_order(e) and e.key > cart.anchor.key for e in events):
            yield Instance("cart-abandon", cart_id or "", cart.anchor, cart.anchor.time + DAY, "marketing", DAY)
    paid = orders(events)
    if len(paid) == 1:
        for days in (7, 30):
            first = paid[0].anchor
            yield Instance(f"second-order-{days}", "", first, first.time + days * DAY, "marketing", 7 * DAY)
    if paid:
        for days in (60, 90, 180):
            last = paid[-1].anchor
            yield Instance(f"dormancy-{days}", "", last, last.time + days * DAY, "marketing", 7 * DAY)
    newest: dict[str, tuple[Event, int]] = {}
    cycle: dict[str, int] = {}
    for order in paid:
        for sku in {i["sku"] for i in order.items}:
            own = [i for i in order.items if i["sku"] == sku]
            newest[sku] = order.anchor, sum(i["quantity"] for i in own)
            for i in own:
                if i.get("consumption_days") is not None:
                    cycle[sku] = i["consumption_days"]
    for sku, (anchor, quantity) in newest.items():
        if sku in cycle:
            due = max(anchor.time, anchor.time + (cycle[sku] * quantity - 5) * DAY)
            yield Instance("reorder-due", sku, anchor, due, "marketing", 5 * DAY)


def _views(events: Events, tz: tzinfo, day_of: Callable[[Event], str | None]) -> Iterator[Instance]:
    first: dict[str, Event] = {}
    for e in events:
        if e.type == "product.viewed":
            first.setdefault(day_of(e) or local(e.time, tz).date().isoformat(), e)
    for day, e in first.items():
        if not any(is_order(o) and o.key > e.key for o in events):
            due = at(date.fromisoformat(day) + timedelta(days=1), 10, 0, tz)
            yield Instance("browse-no-order", day, e, due, "marketing", 12 * HOUR)


def birthday(text: object) -> tuple[int, int] | None:
    m = re.fullmatch(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})", text) if isinstance(text, str) else None
    if not m:
        return None
    try:
        date(int(m[1] or 2000), int(m[2]), int(m[3]))
    except ValueError:
        return None
    return int(m[2]), int(m[3])


def _birthdays(events: Events, tz: tzinfo, until: int) -> Iterator[Instance]:
    stated = trait(events, "birthday")
    if not stated or not (day := birthday(stated[0])):
        return
    for year in range(local(stated[1].time, tz).year, local(until, tz).year + 2):
        month_day = (2, 28) if day == (2, 29) and not isleap(year) else day
        due = at(date(year, *month_day), 10, 0, tz)
        yield Instance("birthday", str(year), stated[1], due, "marketing", 12 * HOUR)
