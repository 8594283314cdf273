"""Facts built from a plain list of events by obvious code, and a person to play time with."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from schemas.firing import Firing
from schemas.mark import Mark
from schemas.settings import Settings, TriggerSettings
from triggers.engine import Engine
from triggers.rules import RuleSet

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SHANGHAI = "Asia/Shanghai"


def at(text: str, zone: str = SHANGHAI) -> int:
    """`2026-03-01 10:00` local time as epoch ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


class Ev(NamedTuple):
    time: int
    id: str
    type: str
    data: dict[str, Any] = {}  # noqa: RUF012  never changed
    part: str = "phone:1"

    @property
    def key(self) -> tuple[int, str]:
        return self.time, self.id

    @property
    def anchor(self) -> tuple[int, str, str]:
        return self.time, self.id, self.part


@dataclass
class FakePart:
    key: str
    marks: dict[str, Mark] = field(default_factory=dict)
    last_ms: int = -1


@dataclass
class Item:
    sku: str
    quantity: int = 1
    consumption_days: int | None = None


@dataclass
class FakeOrder:
    order_id: str
    time_ms: int
    event_id: str
    part: str
    items: list[Item]
    amount_minor: int = 10_000
    currency: str = "CNY"


@dataclass
class Book:
    list: list[FakeOrder]

    @property
    def newest_by_sku(self) -> dict[str, FakeOrder]:
        return {item.sku: order for order in self.list for item in order.items}

    def cycle_days(self, sku: str) -> int | None:
        cycle = None
        for order in self.list:
            for item in order.items:
                if item.sku == sku and item.consumption_days is not None:
                    cycle = item.consumption_days
        return cycle


@dataclass
class Line:
    quantity: int
    unit_price_minor: int | None = 500


@dataclass
class FakeCart:
    lines: dict[str, Line]
    changed: tuple[int, str, str]

    @property
    def value_minor(self) -> int:
        return sum(line.quantity * (line.unit_price_minor or 0) for line in self.lines.values())


@dataclass
class FakeTicket:
    resolutions: tuple[tuple[int, str, str], ...]
    open: bool
    subject: str | None = "late"
    category: str | None = None
    priority: str | None = None
    sku: str | None = None
    order_id: str | None = None


@dataclass
class FakeScore:
    time_ms: int
    event_id: str
    part: str
    type: str
    score: float
    scale: float
    object_id: str | None = None


def is_order(e: Ev) -> bool:
    return e.type == "order.placed" or (e.type == "order.paid" and "items" in e.data)


class FakeFacts:
    def __init__(
        self, events: Iterable[Ev], parts: dict[str, FakePart], consent: Iterable[str] = ("marketing", "service")
    ) -> None:
        self.events = sorted(events)
        self._parts = parts
        self._consent = set(consent)
        for e in self.events:
            part = parts.setdefault(e.part, FakePart(e.part))
            part.last_ms = max(part.last_ms, e.time)

    def of(self, *types: str) -> list[Ev]:
        return [e for e in self.events if e.type in types]

    @property
    def parts(self) -> list[FakePart]:
        return list(self._parts.values())

    @property
    def timezone(self) -> str | None:
        stated = self.trait("timezone")
        return None if stated is None else stated[0]

    def trait(self, name: str) -> tuple[Any, int, str, str] | None:
        found = None
        for e in self.of("customer.identified"):
            if name in e.data:
                found = (e.data[name], e.time, e.id, e.part)
        return found

    def first(self, event_type: str) -> tuple[int, str, str] | None:
        return next((e.anchor for e in self.of(event_type)), None)

    def last(self, event_type: str) -> tuple[int, str, str] | None:
        return next((e.anchor for e in reversed(self.of(event_type))), None)

    def last_order(self) -> tuple[int, str] | None:
        return max((e.key for e in self.events if is_order(e)), default=None)

    def orders(self) -> Book:
        paid: dict[str, Ev] = {}
        placed: dict[str, Ev] = {}
        for e in self.of("order.placed", "order.paid"):
            if e.type == "order.paid":
                paid.setdefault(e.data["order_id"], e)
            else:
                placed[e.data["order_id"]] = e
        whole = {o: e if "items" in e.data else placed.get(o) for o, e in paid.items()}
        items = {o: [Item(*each) for each in e.data["items"]] for o, e in whole.items() if e is not None}
        counted = [FakeOrder(o, e.time, e.id, e.part, items[o]) for o, e in paid.items() if o in items]
        return Book(sorted(counted, key=lambda order: (order.time_ms, order.event_id)))

    def carts(self) -> dict[str, FakeCart]:
        carts: dict[str, FakeCart] = {}
        for e in self.events:
            cart_id = e.data.get("cart_id", "")
            if is_order(e):
                carts.clear()
            elif e.type == "cart.cleared":
                carts.pop(cart_id, None)
            elif e.type == "cart.added":
                lines = carts[cart_id].lines if cart_id in carts else {}
                carts[cart_id] = FakeCart({**lines, e.data["sku"]: Line(e.data.get("quantity", 1))}, e.anchor)
        return carts

    def views(self) -> list[tuple[int, str, str]]:
        newest = max((e.time for e in self.events), default=0)
        return [e.anchor for e in self.of("product.viewed") if e.time >= newest - 30 * DAY]

    def tickets(self) -> dict[str, FakeTicket]:
        tickets: dict[str, FakeTicket] = {}
        for e in self.of("ticket.resolved", "ticket.reopened"):
            known = tickets.setdefault(e.data["ticket_id"], FakeTicket((), True))
            known.open = e.type == "ticket.reopened"
            if e.type == "ticket.resolved":
                beside = [each for each in known.resolutions if each[0] == e.time]
                known.resolutions = (*beside, e.anchor)
        return tickets

    def scores(self) -> list[FakeScore]:
        rated = self.of("chat.rated", "ticket.rated")
        return [FakeScore(*e.anchor, e.type, e.data["score"], 5) for e in rated if e.data["score"] <= 2]

    def consent(self, purpose: str, channel: str | None) -> bool:
        granted = purpose in self._consent
        for e in self.of("customer.consented"):
            if e.data["purpose"] == purpose:
                granted = e.data["granted"]
        return granted

    def channels(self, purpose: str) -> list[str]:
        return ["email", "sms"] if self.consent(purpose, None) else []

    def identifiers(self) -> list[str]:
        return sorted(self._parts)

    def lookup(self, name: str, now_ms: int | None = None) -> Any:
        return {"orders": len(self.orders().list), "now": now_ms}.get(name)


class Person:
    """A person whose events are played in time order: the clock comes after all events of an instant."""

    def __init__(
        self,
        rules: dict[str, Any] | None = None,
        *,
        only: str | None = None,
        consent: Iterable[str] = ("marketing", "service"),
        one_id: str = "one",
        timezone: str = SHANGHAI,
        **general: Any,
    ) -> None:
        written = dict(rules or {})
        if only is not None:
            every = RuleSet.from_settings(Settings()).rules
            written = {
                **{rule.name: False for rule in every if rule.name != only and rule.name not in written},
                **written,
            }
        self.settings = Settings(timezone=timezone, triggers=TriggerSettings(rules=written, **general))
        self.engine = Engine(RuleSet.from_settings(self.settings), self.settings)
        self.consent = consent
        self.one_id = one_id
        self.events: list[Ev] = []
        self.parts: dict[str, FakePart] = {}
        self.rows: list[Firing] = []
        self.now = -1

    @property
    def facts(self) -> FakeFacts:
        return FakeFacts(self.events, self.parts, self.consent)

    def happens(
        self, when: int, event_type: str, part: str = "phone:1", event_id: str | None = None, **data: Any
    ) -> str:
        """An event at `when`, everything due before it having been decided; at `when` itself only by `until`."""
        self.until(when - 1)
        event_id = event_id or f"e{len(self.events):03d}"
        self.events.append(Ev(when, event_id, event_type, data, part))
        self.now = max(when, self.now)
        return event_id

    def knows(self, when: int, event_type: str, part: str = "phone:1", **data: Any) -> str:
        """An event that is known late: no clock moves."""
        event_id = f"e{len(self.events):03d}"
        self.events.append(Ev(when, event_id, event_type, data, part))
        return event_id

    @property
    def wake(self) -> int:
        return min(self.engine.checks(self.facts))

    def until(self, now: int) -> list[Firing]:
        """Sleep and wake until `now`, inclusive; return the rows that came."""
        came: list[Firing] = []
        while True:
            checks = self.engine.checks(self.facts)
            wake = max(min(checks), self.now)
            if wake > now:
                break
            self.now = wake
            came += self.engine.fire_at(self.facts, self.now, self.one_id, checks)
        self.now = max(now, self.now)
        self.rows += came
        return came

    def pays(
        self, when: int, sku: str = "A", quantity: int = 1, cycle: int | None = None, part: str = "phone:1"
    ) -> str:
        number = len(self.events)
        return self.happens(when, "order.paid", part, order_id=f"o{number}", items=[(sku, quantity, cycle)])

    def outcomes(self) -> list[tuple[str, str, int]]:
        return [(row.rule, row.outcome, row.decided_ms) for row in self.rows]
