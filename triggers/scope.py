"""The names that a rule's `when` and `emit` can use of its own instance; any other name is the profile's.

    cart.changed    cart.id  cart.skus  cart.lines  cart.quantity  cart.value  cart.value_minor
    order.paid      order.id  order.skus  order.quantity  order.amount  order.amount_minor  order.currency
    ... per sku     the same, and  sku  quantity  cycle_days
    ticket.resolved ticket.id  ticket.subject  ticket.category  ticket.priority  ticket.sku  ticket.order_id
    score.low       score.type  score.value  score.scale  score.object
    first view      day
    calendar        date  value

Amounts are decimals in the unit people write (12.5 CNY); those in minor units say so.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.money import exponent
from triggers.facts import CartLike, OrderLike, ScoreLike, TicketLike

Scope = dict[str, Callable[[str, Any], Any]]
"""By name: from (instance, subject) to the value. The subject is what the anchor's finder handed on."""


def _major(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-(exponent(currency) or 0))


def _order(take: Callable[[OrderLike], Any]) -> Callable[[str, Any], Any]:
    return lambda instance, subject: take(subject)


def _purchase(take: Callable[[OrderLike], Any]) -> Callable[[str, Any], Any]:
    return lambda instance, subject: take(subject[0])


_ORDER: dict[str, Callable[[OrderLike], Any]] = {
    "order.id": lambda order: order.order_id,
    "order.skus": lambda order: sorted({item.sku for item in order.items}),
    "order.quantity": lambda order: sum(item.quantity for item in order.items),
    "order.amount": lambda order: _major(order.amount_minor, order.currency),
    "order.amount_minor": lambda order: order.amount_minor,
    "order.currency": lambda order: order.currency,
}
ORDER: Scope = {name: _order(take) for name, take in _ORDER.items()}
PURCHASE: Scope = {
    **{name: _purchase(take) for name, take in _ORDER.items()},
    "sku": lambda sku, subject: sku,
    "quantity": lambda sku, subject: subject[1],
    "cycle_days": lambda sku, subject: subject[2],
}
DAY: Scope = {"day": lambda day, subject: day}
CALENDAR: Scope = {
    "date": lambda year, subject: subject[0],
    "value": lambda year, subject: subject[1],
}


def _lines(cart: CartLike) -> list[dict[str, Any]]:
    return [
        {"sku": sku, "quantity": line.quantity, "unit_price_minor": line.unit_price_minor}
        for sku, line in sorted(cart.lines.items())
    ]


def _cart(take: Callable[[CartLike], Any]) -> Callable[[str, Any], Any]:
    return lambda instance, subject: take(subject)


def cart_scope(currency: str) -> Scope:
    """Return the names of a cart whose prices are in the currency."""
    takes: dict[str, Callable[[CartLike], Any]] = {
        "cart.skus": lambda cart: sorted(cart.lines),
        "cart.lines": _lines,
        "cart.quantity": lambda cart: sum(line.quantity for line in cart.lines.values()),
        "cart.value": lambda cart: _major(cart.value_minor, currency),
        "cart.value_minor": lambda cart: cart.value_minor,
    }
    scope: Scope = {name: _cart(take) for name, take in takes.items()}
    # The example of the documentation hands a message the goods of the cart under this name.
    scope["cart.items"] = scope["cart.skus"]
    scope["cart.id"] = lambda cart_id, cart: cart_id or None
    return scope


def _ticket(name: str) -> Callable[[str, TicketLike], Any]:
    return lambda ticket_id, ticket: getattr(ticket, name)


def _score(name: str) -> Callable[[str, ScoreLike], Any]:
    return lambda instance, score: getattr(score, name)


TICKET: Scope = {
    "ticket.id": lambda ticket_id, ticket: ticket_id,
    **{f"ticket.{name}": _ticket(name) for name in ("subject", "category", "priority", "sku", "order_id")},
}
SCORE: Scope = {
    "score.type": _score("type"),
    "score.value": _score("score"),
    "score.scale": _score("scale"),
    "score.object": _score("object_id"),
}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: a whole Decimal becomes an int, another one a float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
