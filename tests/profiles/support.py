"""Events as the decoder hands them on, strategies for them, and everything that can be read of a person's facts."""

from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from profiles.derive import derive_row
from profiles.facts import Facts
from profiles.fold import Folder
from profiles.part import Part, new_part
from schemas.event import Event
from schemas.settings import Settings

SETTINGS = Settings()
DAY = 86_400_000
HOUR = 3_600_000
T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z, a Thursday

_BODY = "order_id items amount currency cart_id channel store coupon discount shipping"
_LINE = "sku quantity cart_id unit_price category"
FIELDS = {
    "order.placed": _BODY,
    "order.paid": _BODY,
    "order.cancelled": "order_id reason",
    "order.refunded": "order_id amount currency items",
    "order.delivered": "order_id",
    "page.viewed": "url title dwell_ms",
    "product.viewed": "sku category price",
    "category.viewed": "category",
    "search.performed": "query",
    "cart.added": _LINE,
    "cart.removed": _LINE,
    "cart.cleared": "cart_id",
    "checkout.started": "cart_id",
    "app.opened": "channel",
    "chat.started": "conversation_id channel",
    "chat.message": "conversation_id sender text",
    "chat.ended": "conversation_id",
    "chat.rated": "conversation_id score",
    "ticket.opened": "ticket_id subject category priority sku order_id",
    "ticket.assigned": "ticket_id agent",
    "ticket.replied": "ticket_id",
    "ticket.resolved": "ticket_id",
    "ticket.reopened": "ticket_id",
    "ticket.rated": "ticket_id score",
    "customer.identified": "traits",
    "customer.consented": "purpose granted channel notice_version",
    "survey.answered": "survey score scale text",
    "points.changed": "delta reason",
    "customer.checked_in": "",
    "message.sent": "channel trigger_id",
    "message.opened": "channel trigger_id",
    "message.clicked": "channel trigger_id",
}


def item(sku: str, quantity: int = 1, unit_price: int = 100, **more: Any) -> SimpleNamespace:
    defaults = dict.fromkeys(("name", "category", "brand", "consumption_days"))
    return SimpleNamespace(sku=sku, quantity=quantity, unit_price=unit_price, **{**defaults, **more})


def event(kind: str, at: int, event_id: str | None = None, who: str = "phone:+861", **data: Any) -> Event:
    """An accepted event; absent fields are None. `who` may name several identifiers, separated by spaces."""
    fields = FIELDS.get(kind, "").split()
    assert set(data) <= set(fields), (kind, data)
    said = SimpleNamespace(**{**dict.fromkeys(fields), **data})
    return Event(event_id or f"{kind}@{at}", kind, at, tuple(who.split()), said)


def paid(at: int, order_id: str, amount: int = 1000, currency: str = "CNY", **more: Any) -> Event:
    extra = {name: more.pop(name) for name in ("event_id", "who") if name in more}
    more.setdefault("items", [item("A")])
    return event("order.paid", at, **extra, order_id=order_id, amount=amount, currency=currency, **more)


def fold_all(events: list[Event], settings: Settings = SETTINGS) -> list[Part]:
    """The parts after the events in the order given."""
    folder = Folder(settings)
    parts: dict[str, Part] = {}
    for one in events:
        key = one.idents[0]
        if key not in parts:
            parts[key] = new_part(key)
        folder.fold(parts[key], one)
    return list(parts.values())


def facts_of(*events: Event, settings: Settings = SETTINGS) -> Facts:
    return Facts(fold_all(list(events), settings), settings)


def row_of(facts: Facts, now: int, settings: Settings = SETTINGS) -> dict[str, Any]:
    from profiles.derived import COLUMNS

    return dict(zip(COLUMNS, derive_row(facts, now, settings, None), strict=True))


def snapshot(facts: Facts, now: int) -> dict[str, Any]:
    """Everything a reader of the facts can see."""
    book = facts.orders()
    return {
        "row": row_of(facts, now),
        "orders": book.list,
        "newest": book.newest_by_sku,
        "cycles": {sku: book.cycle_days(sku) for sku in "ABCD"},
        "sums": (book.totals, book.items, book.promoted, book.foreign_refunds),
        "carts": facts.carts(),
        "tickets": facts.tickets(),
        "scores": facts.scores(),
        "views": facts.views(),
        "words": {
            (p, c): facts.consent(p, c) for p in ("marketing", "service", "x") for c in (None, "sms", "wechat", "other")
        },
        "channels": facts.channels("marketing"),
        "kinds": {kind: (facts.count(kind), facts.first(kind), facts.last(kind)) for kind in FIELDS},
        "last_order": facts.last_order(),
        "traits": {name: facts.trait(name) for name in ("city", "timezone")},
        "identifiers": facts.identifiers(),
    }


def unparted(value: Any) -> Any:
    """The snapshot without the names of parts, to compare different spreads of the same events."""
    kinds = {kind: (n, first and first[:2], last and last[:2]) for kind, (n, first, last) in value["kinds"].items()}
    first_views = {}
    for at, event_id, _ in value["views"]:
        first_views.setdefault((at + 8 * HOUR) // DAY, (at, event_id))
    return {
        "row": value["row"],
        "orders": [(o.order_id, o.key, o.amount_minor, o.refunded_minor, o.items) for o in value["orders"]],
        "cycles": value["cycles"],
        "sums": value["sums"],
        "carts": {cart_id: (cart.lines, cart.changed[:2]) for cart_id, cart in value["carts"].items()},
        "tickets": {t.ticket_id: (t.open, t.opened_ms, t.replied_ms, t.score) for t in value["tickets"].values()},
        "scores": [(score.time_ms, score.event_id) for score in value["scores"]],
        "views": first_views,
        "words": value["words"],
        "kinds": kinds,
        "last_order": value["last_order"],
        "traits": {name: stated and stated[:3] for name, stated in value["traits"].items()},
    }


_skus = st.sampled_from("ABCD")
_names = st.sampled_from(["x", "y"])
_channels = st.sampled_from([None, "sms", "wechat"])
_currencies = st.sampled_from(["CNY", "CNY", "USD", "JPY"])
_carts = st.sampled_from([None, None, "c1", "c2"])
_prices = st.one_of(st.none(), st.integers(0, 500))
_items = st.lists(
    st.builds(
        item,
        _skus,
        st.integers(1, 3),
        st.integers(0, 500),
        category=st.sampled_from([None, "tea", "milk"]),
        consumption_days=st.sampled_from([None, 10, 30]),
    ),
    min_size=1,
    max_size=2,
)
_orders = st.sampled_from(["o1", "o2", "o3"])
_extras = {"cart_id": _carts, "channel": _channels, "coupon": st.sampled_from([None, "X"])}
_amounts = st.integers(0, 300_000)
_whole = {"order_id": _orders, "items": _items, "amount": _amounts, "currency": _currencies, **_extras}
_line = {
    "sku": _skus,
    "quantity": st.integers(1, 3),
    "cart_id": _carts,
    "unit_price": _prices,
    "category": st.sampled_from([None, "tea"]),
}
_DATA: list[tuple[str, dict[str, st.SearchStrategy[Any]]]] = [
    ("order.placed", _whole),
    ("order.placed", _whole),
    ("order.paid", _whole),
    ("order.paid", {"order_id": _orders, **_extras}),
    ("order.paid", {"order_id": _orders}),
    ("order.cancelled", {"order_id": _orders}),
    ("order.refunded", {"order_id": _orders, "amount": st.integers(0, 200_000), "currency": _currencies}),
    ("order.delivered", {"order_id": _orders}),
    (
        "product.viewed",
        {"sku": st.sampled_from([f"S{n}" for n in range(30)]), "category": st.sampled_from([None, "tea"])},
    ),
    ("category.viewed", {"category": st.sampled_from(["milk", "tea"])}),
    ("cart.added", _line),
    ("cart.added", _line),
    ("cart.removed", _line),
    ("cart.cleared", {"cart_id": _carts}),
    ("app.opened", {"channel": _channels}),
    ("chat.started", {"conversation_id": _names, "channel": _channels}),
    ("chat.message", {"conversation_id": _names, "sender": st.sampled_from(["customer", "agent", "bot"])}),
    ("chat.rated", {"conversation_id": _names, "score": st.integers(1, 5)}),
    ("ticket.opened", {"ticket_id": _names, "category": st.sampled_from([None, "complaint"])}),
    ("ticket.replied", {"ticket_id": _names}),
    ("ticket.resolved", {"ticket_id": _names}),
    ("ticket.reopened", {"ticket_id": _names}),
    ("ticket.rated", {"ticket_id": _names, "score": st.integers(1, 5)}),
    (
        "customer.identified",
        {
            "traits": st.dictionaries(
                st.sampled_from(["city", "timezone"]),
                st.sampled_from([None, "Asia/Tokyo", "America/New_York", "nowhere", 2**70, 3]),
            )
        },
    ),
    (
        "customer.consented",
        {"purpose": st.sampled_from(["marketing", "service"]), "granted": st.booleans(), "channel": _channels},
    ),
    ("survey.answered", {"survey": st.sampled_from(["nps", "other"]), "score": st.integers(0, 10)}),
    ("points.changed", {"delta": st.integers(-50, 100)}),
    ("customer.checked_in", {}),
    ("message.clicked", {"channel": _channels}),
    ("page.viewed", {"url": st.just("/")}),
]


_FAMILIES = {
    "orders": ("order.",),
    "payments": ("order.placed", "order.paid"),
    "carts": ("cart.", "order.placed", "order.paid"),
    "browsing": ("product.", "category.", "app.", "page."),
    "service": ("ticket.", "chat."),
    "customer": ("customer.", "survey.", "points.", "message."),
    "consent": ("customer.consented",),
    "all": ("",),
}


@st.composite
def event_lists(draw: st.DrawFn, days: int = 6, size: int = 25, keys: int = 3) -> list[Event]:
    """Events with unique ids, times that often coincide, spread over `days` days and up to `keys` parts.

    Most lists hold the events of one family only, so that they meet at the same order, cart or ticket.
    """
    family = _FAMILIES[draw(st.sampled_from(sorted(_FAMILIES)))]
    table = [entry for entry in _DATA if entry[0].startswith(family)]
    hours = st.integers(0, draw(st.sampled_from([2, 24, days * 24])) - 1)
    made: list[Event] = []
    said: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, size))):
        kind, fields = draw(st.sampled_from(table))
        at = T0 + draw(hours) * HOUR
        key = f"phone:+86{draw(st.integers(0, keys - 1))}"
        others = draw(st.sampled_from(["", " email:a@x.cn", " email:a@x.cn device_id:d"]))
        data = {name: draw(strategy) for name, strategy in fields.items()}
        if "amount" in data and "items" in data:
            if said and draw(st.booleans()):  # the same order placed and paid, as in life
                data = draw(st.sampled_from(said))
            said.append(data)
        made.append(event(kind, at, f"e{draw(st.integers(0, 9))}-{number}", key + others, **data))
    return made
