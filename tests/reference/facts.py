"""What is true of a person, from the list of the person's events in (time, id) order: profiles.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import tzinfo
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.parse import Event
from tests.reference.settings import Settings
from tests.reference.validate import decimals, minor

DAY = 86_400_000
Events = list[Event]


@dataclass
class Order:
    id: str
    anchor: Event  # the payment that set the time
    currency: str
    amount: int
    refunded: int
    items: list[dict[str, Any]]
    left_out: int  # refunds in another currency

    @property
    def net(self) -> int:
        return self.amount - self.refunded


def is_order(e: Event) -> bool:
    """ "An order" of carts and triggers."""
    return e.type == "order.placed" or (e.type == "order.paid" and e.data.get("amount") is not None)


def orders(events: Events) -> list[Order]:
    """The paid orders whose amount is known, by the time they were paid."""
    by_id: dict[str, Events] = {}
    for e in events:
        if e.type.startswith("order."):
            by_id.setdefault(e.data["order_id"], []).append(e)
    found = []
    for order_id, own in by_id.items():
        paid = [e for e in own if e.type == "order.paid"]
        whole = [e for e in paid if is_order(e)]
        placed = [e for e in own if e.type == "order.placed"]
        if not paid or not (whole or placed):
            continue
        says = (whole[0] if whole else placed[-1]).data
        amount = minor(says["amount"], says["currency"])
        refunds = [e.data for e in own if e.type == "order.refunded"]
        same = [r for r in refunds if r["currency"] == says["currency"]]
        refunded = min(amount, sum(minor(r["amount"], r["currency"]) for r in same))
        if any(e.type == "order.cancelled" for e in own):
            refunded = amount
        found.append(
            Order(order_id, paid[0], says["currency"], amount, refunded, says["items"], len(refunds) - len(same))
        )
    return sorted(found, key=lambda o: o.anchor.key)


@dataclass
class Cart:
    quantity: int
    value: int
    anchor: Event  # the last change


def carts(events: Events, s: Settings) -> dict[str | None, Cart]:
    """The carts that are not empty."""
    changes: dict[str | None, Events] = {}
    for e in events:
        cart = e.data.get("cart_id") if e.type.startswith(("cart.", "order.")) else None
        if e.type in ("cart.added", "cart.removed"):
            changes.setdefault(cart, []).append(e)
        elif e.type == "cart.cleared" or (is_order(e) and cart is not None):
            changes.pop(cart, None)
        elif is_order(e):
            changes.clear()
    found = {}
    for cart, own in changes.items():
        quantity = value = 0
        for sku in {e.data["sku"] for e in own}:
            line = [e for e in own if e.data["sku"] == sku]
            left = sum(e.data["quantity"] * (1 if e.type == "cart.added" else -1) for e in line)
            prices = [e.data["unit_price"] for e in line if e.data.get("unit_price") is not None]
            if left > 0:
                quantity += left
                value += left * (minor(prices[-1], s.currency) if prices else 0)
        if quantity:
            found[cart] = Cart(quantity, value, own[-1])
    return found


def trait(events: Events, name: str) -> tuple[Any, Event] | None:
    for e in reversed(events):
        if e.type == "customer.identified" and (e.data.get("traits") or {}).get(name) is not None:
            return e.data["traits"][name], e
    return None


def zone(events: Events, s: Settings) -> tzinfo:
    stated = trait(events, "timezone")
    if stated and isinstance(stated[0], str):
        try:
            return ZoneInfo(stated[0])
        except (ValueError, OSError, KeyError):
            pass
    return ZoneInfo(s.timezone)


def consented(events: Events, purpose: str) -> bool:
    """Whether any channel of the purpose may be used; a channel nobody named counts as one."""
    words = [e for e in events if e.type == "customer.consented" and e.data["purpose"] == purpose]

    def may(channel: str | None) -> bool:
        covering = [e for e in words if e.data.get("channel") in (None, channel)]
        if not covering:
            return purpose != "marketing"
        latest = max(e.time for e in covering)
        return all(e.data["granted"] for e in covering if e.time == latest)

    return any(may(channel) for channel in {None, *(e.data.get("channel") for e in words)})


def lifecycle(paid: list[Order], now: int) -> str:
    if not paid:
        return "prospect"
    idle = now - paid[-1].anchor.time
    if idle >= 180 * DAY:
        return "lost"
    if idle >= 60 * DAY:
        return "declining"
    return "mature" if len(paid) >= 4 else "growing" if len(paid) >= 2 else "new"


def profile(events: Events, now: int, s: Settings) -> dict[str, Any]:
    paid = orders(events)
    unit = 10 ** decimals(s.currency)
    by_currency = Counter(o.currency for o in paid)
    currency = min(by_currency, key=lambda c: (-by_currency[c], c)) if paid else None
    own = [o for o in paid if o.currency == currency]
    revenue = sum(o.net for o in own)
    basket = carts(events, s).values()
    tickets: dict[str, str] = {}
    nps = None
    viewed: list[str] = []
    for e in events:
        if e.type in ("ticket.opened", "ticket.resolved", "ticket.reopened"):
            tickets[e.data["ticket_id"]] = e.type
        elif e.type == "survey.answered" and e.data["survey"] == "nps":
            score = e.data["score"]
            nps = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
        elif e.type == "product.viewed":
            viewed = [e.data["sku"], *(v for v in viewed if v != e.data["sku"])]
    spent = sum(o.net for o in paid if o.currency == s.currency and o.anchor.time > now - 365 * DAY)
    segment = None
    if paid:
        high = (
            now - paid[-1].anchor.time <= 90 * DAY,
            len(paid) >= 3,
            sum(o.net for o in paid if o.currency == s.currency) >= 1000 * unit,
        )
        segment = "".join("H" if h else "L" for h in high)
    return {
        "first_seen": events[0].time if events else None,
        "last_seen": events[-1].time if events else None,
        "events": len(events),
        "orders": len(paid),
        "items": sum(i["quantity"] for o in paid for i in o.items),
        "currency": currency,
        "revenue_minor": revenue,
        "refunded_minor": sum(o.refunded for o in own),
        "aov_minor": round(Fraction(revenue, len(own))) if own else None,  # round() is half to even
        "first_order_at": paid[0].anchor.time if paid else None,
        "last_order_at": paid[-1].anchor.time if paid else None,
        "cart_items": sum(c.quantity for c in basket),
        "cart_value_minor": sum(c.value for c in basket),
        "open_tickets": sum(1 for t in tickets.values() if t != "ticket.resolved"),
        "nps": nps,
        "rfm_segment": segment,
        "lifecycle": lifecycle(paid, now),
        "tier": next(
            (t for t, least in (("diamond", 50_000), ("gold", 10_000), ("silver", 3_000)) if spent >= least * unit),
            "none",
        ),
        "last_viewed": viewed[:20],
    }
