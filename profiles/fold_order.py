"""How order events change a part."""

from typing import Any

from profiles.fold_cart import clear, clear_all
from profiles.part import Body, Item, Key, OrderPart, Part

MAX_MINOR = 10**15  # the largest amount of an order: refunds beyond it change nothing, so their sum stops there


def _order(part: Part, order_id: str) -> OrderPart:
    orders = part.orders
    if orders is None:
        orders = part.orders = {}
    order = orders.get(order_id)
    if order is None:
        order = orders[order_id] = OrderPart()
    return order


def _body(data: Any) -> Body:
    items = data.items
    return Body(
        data.amount,
        data.currency,
        None
        if items is None
        else tuple(Item(i.sku, i.quantity, i.unit_price, i.category, i.consumption_days, i.name) for i in items),
        data.cart_id,
        data.channel,
        data.store,
        data.coupon,
        data.discount,
        data.shipping,
    )


_BARE = Body()


def _placed(part: Part, at: int, event_id: str, data: Any) -> None:
    order = _order(part, data.order_id)
    key = (at, event_id)
    if order.placed is None or key > order.placed:
        if order.paid_as_placed:
            order.paid_body = order.placed_body
        body = _body(data)
        order.placed = key
        order.placed_body = body
        order.paid_as_placed = order.paid_body == body
        if order.paid_as_placed:
            order.paid_body = None
    _ordered(part, key, data.cart_id)


def _paid(part: Part, at: int, event_id: str, data: Any) -> None:
    order = _order(part, data.order_id)
    key = (at, event_id)
    body = _body(data)
    bare = data.amount is None
    whole = order.whole_key
    if not bare and (whole is None or key < whole):
        whole = key
        order.paid_as_placed = body == order.placed_body
        order.paid_body = None if order.paid_as_placed else body
    if order.paid is None or key < order.paid:
        order.paid = key
        order.bare_body = body if bare and body != _BARE else None
    order.whole = None if whole == order.paid else whole
    if data.amount is not None:
        _ordered(part, key, data.cart_id)


def _cancelled(part: Part, at: int, event_id: str, data: Any) -> None:
    order = _order(part, data.order_id)
    if order.cancelled_ms < 0 or at < order.cancelled_ms:
        order.cancelled_ms = at


def _delivered(part: Part, at: int, event_id: str, data: Any) -> None:
    order = _order(part, data.order_id)
    if order.delivered_ms < 0 or at < order.delivered_ms:
        order.delivered_ms = at


def _refunded(part: Part, at: int, event_id: str, data: Any) -> None:
    order = _order(part, data.order_id)
    refunds = order.refunds
    if refunds is None:
        refunds = order.refunds = {}
    total, number = refunds.get(data.currency, (0, 0))
    refunds[data.currency] = (min(total + data.amount, MAX_MINOR), number + 1)


def _ordered(part: Part, key: Key, cart_id: str | None) -> None:
    """Note an event that is an order, and empty the cart it names, or all."""
    if part.order_event is None or key > part.order_event:
        part.order_event = key
    if cart_id is None:
        clear_all(part, key)
    else:
        clear(part, key, cart_id)


HANDLERS = {
    "order.placed": _placed,
    "order.paid": _paid,
    "order.cancelled": _cancelled,
    "order.delivered": _delivered,
    "order.refunded": _refunded,
}
