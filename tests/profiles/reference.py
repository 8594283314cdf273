"""What is true of a person, worked out the long way from the list of all events."""

from typing import Any

from schemas.event import Event


def is_order(one: Event) -> bool:
    return one.type == "order.placed" or (one.type == "order.paid" and one.data.amount is not None)


def orders(events: list[Event]) -> dict[str, dict[str, Any]]:
    """Counted orders by id. `events` are in the order of (time, id), here and below."""
    found = {}
    for order_id in {e.data.order_id for e in events if e.type.startswith("order.")}:
        own = [e for e in events if e.type.startswith("order.") and e.data.order_id == order_id]
        payments = [e for e in own if e.type == "order.paid"]
        placings = [e for e in own if e.type == "order.placed"]
        if not payments:
            continue
        payment = payments[0]
        whole = [e for e in payments if e.data.amount is not None]
        if whole:
            says = whole[0].data
        elif placings:
            says = placings[-1].data
        else:
            continue
        refunds = [e.data for e in own if e.type == "order.refunded"]
        refunded = min(says.amount, sum(r.amount for r in refunds if r.currency == says.currency))
        if any(e.type == "order.cancelled" for e in own):
            refunded = says.amount
        found[order_id] = {
            "at": payment.time_ms,
            "amount": says.amount,
            "refunded": refunded,
            "currency": says.currency,
            "quantity": sum(i.quantity for i in says.items),
            "foreign": sum(r.currency != says.currency for r in refunds),
        }
    return found


def carts(events: list[Event]) -> dict[str, dict[str, tuple[int, int]]]:
    """Cart id ('' for none) to SKU to (quantity, price or 0); empty lines and carts are left out."""
    changes: dict[str, list[Event]] = {}
    for e in events:
        if e.type in ("cart.added", "cart.removed"):
            changes.setdefault(e.data.cart_id or "", []).append(e)
        elif e.type == "cart.cleared":
            changes.pop(e.data.cart_id or "", None)
        elif is_order(e):
            if e.data.cart_id is None:
                changes.clear()
            else:
                changes.pop(e.data.cart_id, None)
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for cart_id, own in changes.items():
        for sku in {e.data.sku for e in own}:
            line = [e for e in own if e.data.sku == sku]
            quantity = sum(e.data.quantity if e.type == "cart.added" else -e.data.quantity for e in line)
            prices = [e.data.unit_price for e in line if e.data.unit_price is not None]
            if quantity > 0:
                found.setdefault(cart_id, {})[sku] = (quantity, prices[-1] if prices else 0)
    return found


def consent(events: list[Event], purpose: str, channel: str | None) -> bool:
    words = [e for e in events if e.type == "customer.consented" and e.data.purpose == purpose]
    if channel is None:
        return any(consent(events, purpose, c) for c in {"some other", *(w.data.channel for w in words)} - {None})
    words = [w for w in words if w.data.channel in (None, channel)]
    if not words:
        return purpose == "service"
    newest = max(w.time_ms for w in words)
    return all(w.data.granted for w in words if w.time_ms == newest)


def open_tickets(events: list[Event]) -> set[str]:
    latest = {}
    for e in events:
        if e.type in ("ticket.opened", "ticket.resolved", "ticket.reopened"):
            latest[e.data.ticket_id] = e.type
    return {ticket_id for ticket_id, kind in latest.items() if kind != "ticket.resolved"}


def last_viewed(events: list[Event]) -> list[str]:
    viewed: list[str] = []
    for e in events:
        if e.type == "product.viewed":
            viewed = [e.data.sku, *(sku for sku in viewed if sku != e.data.sku)]
    return viewed[:20]
