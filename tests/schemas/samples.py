"""One full and one minimal valid `data` per event type, as JSON text would hold it."""

from typing import Any

ITEM = {
    "sku": "A1",
    "quantity": 2,
    "unit_price": "19.90",
    "name": "奶粉",
    "category": "milk",
    "brand": "b",
    "consumption_days": 30,
}
ORDER = {
    "order_id": "O1",
    "items": [ITEM, {"sku": "B", "quantity": 1, "unit_price": 5}],
    "amount": "44.80",
    "currency": "CNY",
    "cart_id": "c",
    "channel": "app",
    "store": "s",
    "coupon": "k",
    "discount": "1.00",
    "shipping": 0,
}
LINK = {"a": {"kind": "phone", "value": "13900000001"}, "b": {"kind": "member_id", "value": 7}, "reason": "asked"}
TICKET = {"ticket_id": "T1"}
CHAT = {"conversation_id": "C1"}

FULL: dict[str, dict[str, Any]] = {
    "order.placed": ORDER,
    "order.paid": ORDER,
    "order.cancelled": {"order_id": "O1", "reason": "r"},
    "order.refunded": {"order_id": "O1", "amount": "5", "currency": "CNY", "items": [ITEM]},
    "order.delivered": {"order_id": "O1"},
    "page.viewed": {"url": "/", "title": "t", "dwell_ms": 1200},
    "product.viewed": {"sku": "A1", "category": "milk", "price": "19.90"},
    "category.viewed": {"category": "milk"},
    "search.performed": {"query": "q"},
    "cart.added": {"sku": "A1", "quantity": 1, "cart_id": "c", "unit_price": "1.5", "category": "milk"},
    "cart.removed": {"sku": "A1", "quantity": 1, "cart_id": "c", "unit_price": "1.5", "category": "milk"},
    "cart.cleared": {"cart_id": "c"},
    "checkout.started": {"cart_id": "c"},
    "app.opened": {"channel": "ios"},
    "chat.started": {**CHAT, "channel": "web"},
    "chat.message": {**CHAT, "sender": "customer", "text": "hi"},
    "chat.ended": CHAT,
    "chat.rated": {**CHAT, "score": 5},
    "ticket.opened": {**TICKET, "subject": "s", "category": "c", "priority": "p", "sku": "A1", "order_id": "O1"},
    "ticket.assigned": {**TICKET, "agent": "x"},
    "ticket.replied": TICKET,
    "ticket.resolved": TICKET,
    "ticket.reopened": TICKET,
    "ticket.rated": {**TICKET, "score": 1},
    "customer.identified": {"traits": {"birthday": "1990-02-28", "children": [{"age": 1.5}], "vip": True}},
    "customer.consented": {"purpose": "marketing", "granted": True, "channel": "sms", "notice_version": "2"},
    "survey.answered": {"survey": "nps", "score": 9, "scale": 10, "text": "ok"},
    "points.changed": {"delta": -5, "reason": "r"},
    "customer.checked_in": {},
    "message.sent": {"channel": "sms", "trigger_id": "t"},
    "message.opened": {"channel": "sms", "trigger_id": "t"},
    "message.clicked": {"channel": "sms", "trigger_id": "t"},
    "customer.linked": LINK,
    "customer.unlinked": LINK,
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "order.placed": ("order_id", "items", "amount", "currency"),
    "order.paid": ("order_id",),
    "order.cancelled": ("order_id",),
    "order.refunded": ("order_id", "amount", "currency"),
    "order.delivered": ("order_id",),
    "page.viewed": ("url",),
    "product.viewed": ("sku",),
    "category.viewed": ("category",),
    "search.performed": ("query",),
    "cart.added": ("sku", "quantity"),
    "cart.removed": ("sku", "quantity"),
    "cart.cleared": (),
    "checkout.started": (),
    "app.opened": (),
    "chat.started": ("conversation_id",),
    "chat.message": ("conversation_id", "sender"),
    "chat.ended": ("conversation_id",),
    "chat.rated": ("conversation_id", "score"),
    "ticket.opened": ("ticket_id",),
    "ticket.assigned": ("ticket_id", "agent"),
    "ticket.replied": ("ticket_id",),
    "ticket.resolved": ("ticket_id",),
    "ticket.reopened": ("ticket_id",),
    "ticket.rated": ("ticket_id", "score"),
    "customer.identified": (),
    "customer.consented": ("purpose", "granted"),
    "survey.answered": ("survey", "score"),
    "points.changed": ("delta",),
    "customer.checked_in": (),
    "message.sent": (),
    "message.opened": (),
    "message.clicked": (),
    "customer.linked": ("a", "b"),
    "customer.unlinked": ("a", "b"),
}


def event(event_type: str, data: Any = None, **fields: Any) -> dict[str, Any]:
    """A valid event of a type, with other data or other envelope fields where given."""
    return {
        "id": "e1",
        "type": event_type,
        "time": "2026-03-04T05:06:07.891Z",
        "identifiers": {"phone": "13912345678"},
        "data": FULL.get(event_type, {}) if data is None else data,
        **fields,
    }
