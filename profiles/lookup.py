"""What the names in an expression stand for, as of the facts of one person.

- `traits.NAME`: the latest value of a trait; `count.TYPE`: the number of events of a type (`count.order.paid`);
- `revenue`, `refunded`, `aov`, `clv`: in units of the person's currency; `cart.value`, `tier.spend`, `tier.gap`: in
  units of the setting's; all exact decimals;
- `cart.items` (a number), `cart.skus` (a list); `days_since_order`;
- every other name: the column of the profile, such as `orders`, `lifecycle`, `tier`, `nps`, `open_tickets`,
  `rfm_segment`, `tags`, `favourite_categories`; times are epoch ms. RFM is by the fixed cuts only.

A name that depends on the clock is as of `now_ms`, else of the person's last event. An unknown name is None.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from profiles import derive
from profiles.derived import COLUMNS
from schemas.money import exponent

if TYPE_CHECKING:
    from profiles.facts import Facts


def _units(minor: int | None, currency: str | None) -> Decimal | None:
    if minor is None or currency is None:
        return None if minor is None else Decimal(minor)
    return Decimal(minor).scaleb(-(exponent(currency) or 0))


def _cart_value(facts: "Facts") -> Decimal | None:
    return _units(sum(cart.value_minor for cart in facts.carts().values()), facts.settings.currency)


def _cart_skus(facts: "Facts") -> list[str]:
    return sorted({sku for cart in facts.carts().values() for sku in cart.lines})


_DIRECT: dict[str, Callable[["Facts"], Any]] = {
    "events": lambda facts: facts.events,
    "orders": lambda facts: len(facts.orders()),
    "points": lambda facts: facts.points,
    "cart.items": lambda facts: sum(cart.quantity for cart in facts.carts().values()),
    "cart.value": _cart_value,
    "cart.skus": _cart_skus,
    "open_tickets": lambda facts: sum(ticket.open for ticket in facts.tickets().values()),
    "timezone": lambda facts: facts.timezone,
}

_MONEY = {
    "revenue": "revenue_minor",
    "refunded": "refunded_minor",
    "aov": "aov_minor",
    "clv": "clv_minor",
    "tier.spend": "tier_spend_minor",
    "tier.gap": "tier_gap_minor",
}


_OPEN = ("traits.", "count.")


def is_known(name: str) -> bool:
    """Return whether a name stands for something; of a trait and a type of event any may come."""
    return name in _DIRECT or name in _MONEY or name in COLUMNS or name == "days_since_order" or name.startswith(_OPEN)


def lookup(facts: "Facts", name: str, now_ms: int | None) -> Any:
    """Return what the name stands for; None if unknown."""
    direct = _DIRECT.get(name)
    if direct is not None:
        return direct(facts)
    family, _, rest = name.partition(".")
    if family == "traits":
        stated = facts.trait(rest)
        return None if stated is None else stated[0]
    if family == "count":
        return facts.count(rest)
    column = _MONEY.get(name, name)
    if column not in COLUMNS and column != "days_since_order":
        return None
    now = now_ms if now_ms is not None else facts.last_seen or 0
    row, _ = derive.deriver(facts.settings).derive(facts, now, None)
    if column == "days_since_order":
        return None if row.last_order_at is None else (now - row.last_order_at) // derive.DAY_MS
    value = getattr(row, column)
    if name in _MONEY:
        return _units(value, facts.settings.currency if family == "tier" else row.currency or facts.settings.currency)
    return value
