"""A trigger engine that is obviously right: at every instant it derives everything anew, with datetime and no marks.

It knows the rules of `RULES` only, and instants on the full hour only.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.triggers.fakes import DAY, HOUR, Ev, is_order
from triggers.engine import in_holdout
from triggers.terms import share

HALF = share("50%").threshold
RULES: dict[str, Any] = {
    "cart-abandon": {"after": "3h", "expires_after": "6h", "cap": "1 per 12h"},
    "dormancy-60": {"after": "2d", "expires_after": "1d"},
    "dormancy-90": False,
    "dormancy-180": False,
    "second-order-7": {"after": "1d", "expires_after": "12h", "holdout": "50%"},
    "second-order-30": False,
    "reorder-due": {"after": "cycle - 12h", "expires_after": "1d", "when": "orders > 1"},
    "low-score": {"purpose": "marketing", "cap": False},
}
EXPIRES = {
    "welcome": DAY,
    "cart-abandon": 6 * HOUR,
    "browse-no-order": DAY // 2,
    "reorder-due": DAY,
    "dormancy-60": DAY,
    "second-order-7": DAY // 2,
    "birthday": DAY // 2,
    "ticket-resolved": DAY,
    "low-score": DAY,
}
SERVICE = ("ticket-resolved",)


class Due(NamedTuple):
    rule: str
    instance: str
    anchor: Ev
    due: int

    @property
    def name(self) -> tuple[str, str, str]:
        return (self.rule, self.instance, self.anchor.id)


class Decision(NamedTuple):
    rule: str
    instance: str
    anchor_id: str
    due: int
    decided: int
    outcome: str
    reason: str | None


def local(time_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(time_ms // 1000, UTC).astimezone(ZoneInfo(zone))


def ten(day: date, zone: str) -> int:
    return int(datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def is_quiet(time_ms: int, zone: str) -> bool:
    hour = local(time_ms, zone).hour
    return hour >= 22 or hour < 8


class Naive:
    def __init__(self, zone: str, one_id: str) -> None:
        self.zone, self.one_id = zone, one_id
        self.log: list[Decision] = []
        self.over: dict[tuple[str, str, str], str] = {}  # name of an instance (a calendar's: its year) to outcome
        self.held: dict[tuple[str, str, str], int] = {}

    def at(self, now: int, events: list[Ev]) -> None:
        """Decide what is to be decided at `now`; `events` are those known by then."""
        events = sorted(events)
        zone = self.zone
        for e in events:
            if e.type == "customer.identified":
                zone = e.data.get("timezone", zone)
        found = [
            each
            for each in self.instances(now, events, zone)
            if self.key(each, zone) not in self.over and max(each.due, self.held.get(self.date(each, zone), 0)) <= now
        ]
        for each in sorted(found, key=lambda each: each.name):
            self.decide(now, events, zone, each)

    def date(self, each: Due, zone: str) -> tuple[str, str, str]:
        if each.rule == "birthday":
            return (each.rule, local(each.due, zone).date().isoformat(), "")
        return each.name

    def key(self, each: Due, zone: str) -> tuple[str, str, str]:
        return (each.rule, each.instance, "") if each.rule == "birthday" else each.name

    def decide(self, now: int, events: list[Ev], zone: str, each: Due) -> None:
        key = self.key(each, zone)
        purpose = "service" if each.rule in SERVICE else "marketing"
        granted = True
        for e in events:
            if e.type == "customer.consented" and e.data["purpose"] == purpose:
                granted = e.data["granted"]
        fired = [d for d in self.log if d.outcome == "fired"]
        recent = [d for d in fired if d.rule not in SERVICE and now - DAY < d.decided]
        same = [d for d in fired if d.rule == each.rule and now - 12 * HOUR < d.decided]
        outcome, reason = "fired", None
        if not granted:
            outcome, reason = "suppressed", "consent"
        elif each.rule == "reorder-due" and len(self.paid(events)) <= 1:
            self.over[key] = "passed"
            return
        elif (each.rule == "cart-abandon" and same) or (
            purpose == "marketing" and each.rule != "low-score" and len(recent) >= 2
        ):
            outcome, reason = "suppressed", "cap"
        elif purpose == "marketing" and is_quiet(now, zone):
            self.held[self.date(each, zone)] = next(t for t in range(now, now + 2 * DAY, HOUR) if not is_quiet(t, zone))
            return
        elif now >= each.due + EXPIRES[each.rule]:
            outcome = "expired"
        elif each.rule == "second-order-7" and in_holdout(each.rule, self.one_id, HALF):
            outcome = "held_out"
        self.over[key] = outcome
        self.log.append(Decision(*each.name, each.due, now, outcome, reason))

    def paid(self, events: list[Ev]) -> list[tuple[Ev, list[Any]]]:
        found: dict[str, tuple[Ev, list[Any]]] = {}
        for e in events:
            if e.type == "order.paid" and "items" in e.data and e.data["order_id"] not in found:
                found[e.data["order_id"]] = (e, e.data["items"])
        return list(found.values())

    def instances(self, now: int, events: list[Ev], zone: str) -> list[Due]:
        found: list[Due] = []
        ordered = max((e.key for e in events if is_order(e)), default=(-1, ""))
        identified = [e for e in events if e.type == "customer.identified"]
        if identified:
            found.append(Due("welcome", "", identified[0], identified[0].time))
        carts: dict[str, Ev] = {}
        for e in events:
            if e.type == "cart.added":
                carts[e.data["cart_id"]] = e
            elif e.type == "cart.cleared":
                carts.pop(e.data["cart_id"], None)
        found += [Due("cart-abandon", c, e, e.time + 3 * HOUR) for c, e in carts.items() if e.key > ordered]
        days: dict[str, Ev] = {}
        for e in events:
            if e.type == "product.viewed":
                marked = [
                    name[1] for name in [*self.over, *self.held] if name[0] == "browse-no-order" and name[2] == e.id
                ]
                days.setdefault(marked[0] if marked else local(e.time, zone).date().isoformat(), e)
        for day, e in days.items():
            if e.key > ordered:
                due = ten(date.fromisoformat(day) + timedelta(days=1), zone)
                found.append(Due("browse-no-order", day, e, due))
        paid = self.paid(events)
        newest: dict[str, tuple[Ev, int]] = {}
        cycles: dict[str, int] = {}
        for e, items in paid:
            for sku in {item[0] for item in items}:
                newest[sku] = e, sum(item[1] for item in items if item[0] == sku)
            cycles |= {item[0]: item[2] for item in items if item[2] is not None}
        for sku, (e, quantity) in newest.items():
            if sku in cycles:
                due = max(e.time, e.time + cycles[sku] * quantity * DAY - 12 * HOUR)
                found.append(Due("reorder-due", sku, e, due))
        if paid:
            found.append(Due("dormancy-60", "", paid[-1][0], paid[-1][0].time + 2 * DAY))
        if len(paid) == 1:
            found.append(Due("second-order-7", "", paid[0][0], paid[0][0].time + DAY))
        found += self.birthdays(now, identified, zone)
        tickets = {e.data["ticket_id"]: e for e in events if e.type == "ticket.resolved"}
        found += [Due("ticket-resolved", ticket, e, e.time) for ticket, e in tickets.items()]
        found += [Due("low-score", e.id, e, e.time) for e in events if e.type == "chat.rated" and e.data["score"] <= 2]
        return found

    def birthdays(self, now: int, identified: list[Ev], zone: str) -> list[Due]:
        stated = [e for e in identified if "birthday" in e.data]
        found = []
        if stated:
            month, day = (int(text) for text in stated[-1].data["birthday"].split("-"))
            for year in range(local(stated[-1].time, zone).year, local(now, zone).year + 1):
                told = [o for (rule, when, _), o in self.over.items() if rule == "birthday" and when[:4] == str(year)]
                if "fired" not in told and "held_out" not in told:
                    found.append(Due("birthday", str(year), stated[-1], ten(date(year, month, day), zone)))
        return found
