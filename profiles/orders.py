"""The orders of a person: each joined from its parts, and the book that is kept up to date event by event."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from profiles.part import Body, Item, Key, OrderPart, Part
from profiles.weights import BUY


class Order(msgspec.Struct, gc=False):
    """A counted order: paid, and its amount known.

    `time_ms` and `event_id` are those of the earliest payment, `part` the key of the part that holds it. Money is in
    minor units of `currency`; `refunded_minor` is at most `amount_minor`, and all of it once cancelled.
    `foreign_refunds` counts refunds in another currency, which are left out. Times are epoch ms, None if unknown.
    """

    order_id: str
    time_ms: int
    event_id: str
    part: str
    amount_minor: int
    refunded_minor: int
    currency: str
    items: tuple[Item, ...]
    cart_id: str | None
    channel: str | None
    store: str | None
    coupon: str | None
    discount_minor: int | None
    shipping_minor: int | None
    cancelled: bool
    placed_ms: int | None
    delivered_ms: int | None
    foreign_refunds: int

    @property
    def key(self) -> Key:
        """(time, id) of the event that set the order's time."""
        return self.time_ms, self.event_id

    @property
    def promoted(self) -> bool:
        """Whether a coupon or a discount was used."""
        return self.coupon is not None or bool(self.discount_minor)


class Totals(msgspec.Struct, gc=False):
    """Sums over the counted orders of one currency, in its minor units."""

    orders: int = 0
    amount_minor: int = 0
    refunded_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Paid amounts less refunds."""
        return self.amount_minor - self.refunded_minor


_NOTHING = Body()


def join(order_id: str, holdings: Iterable[tuple[str, OrderPart]]) -> Order | None:
    """Join what several parts know of one order, given as (part key, order). None unless it counts."""
    placed: Key | None = None
    placed_body: Body | None = None
    paid: Key | None = None
    bare_body: Body | None = None
    paid_part = ""
    whole: Key | None = None
    whole_body: Body | None = None
    cancelled = False
    delivered_ms = -1
    refunds: list[tuple[str, tuple[int, int]]] = []
    for part_key, order in holdings:
        if order.placed is not None and (placed is None or order.placed > placed):
            placed = order.placed
            placed_body = order.placed_body
        if order.paid is not None and (paid is None or order.paid < paid):
            paid = order.paid
            bare_body = order.bare_body
            paid_part = part_key
        key = order.whole_key
        if key is not None and (whole is None or key < whole):
            whole = key
            whole_body = order.whole_body
        if order.cancelled_ms >= 0:
            cancelled = True
        if order.delivered_ms >= 0 and (delivered_ms < 0 or order.delivered_ms < delivered_ms):
            delivered_ms = order.delivered_ms
        if order.refunds is not None:
            refunds.extend(order.refunds.items())
    if paid is None:
        return None
    base = placed_body or _NOTHING
    carried = base if whole_body is None else whole_body
    amount = carried.amount_minor
    currency = carried.currency
    if amount is None or currency is None:
        return None
    refunded = 0
    foreign = 0
    for refund_currency, (total, number) in refunds:
        if refund_currency == currency:
            refunded += total
        else:
            foreign += number
    return Order(
        order_id,
        paid[0],
        paid[1],
        paid_part,
        amount,
        amount if cancelled else min(refunded, amount),
        currency,
        carried.items or (),
        *_stated(bare_body, whole_body, placed_body),
        cancelled,
        None if placed is None else placed[0],
        None if delivered_ms < 0 else delivered_ms,
        foreign,
    )


def _stated(
    bare: Body | None, whole: Body | None, placed: Body | None
) -> tuple[str | None, str | None, str | None, str | None, int | None, int | None]:
    """Return cart_id, channel, store, coupon, discount and shipping, each from the first that states it."""
    if bare is None and (placed is None or placed is whole or whole is None):  # the usual cases: one says it all
        said = whole or placed or _NOTHING
        return said.cart_id, said.channel, said.store, said.coupon, said.discount_minor, said.shipping_minor
    every = [body for body in (bare, whole, placed) if body is not None]

    def first(values: Iterable[Any]) -> Any:
        return next((value for value in values if value is not None), None)

    return (
        first(body.cart_id for body in every),
        first(body.channel for body in every),
        first(body.store for body in every),
        first(body.coupon for body in every),
        first(body.discount_minor for body in every),
        first(body.shipping_minor for body in every),
    )


class OrderBook:
    """The counted orders of a person by (time, id), with their sums; `update` takes in a change of one order.

    An update costs a binary search and a few sums, however many orders there are.
    """

    __slots__ = ("_by_id", "_cycles", "_newest", "_parts", "foreign_refunds", "items", "list", "promoted", "totals")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.list: list[Order] = []
        self.totals: dict[str, Totals] = {}
        self.items = 0
        self.promoted = 0
        self.foreign_refunds = 0
        self._newest: dict[str, Order] | None = None
        self._cycles: dict[str, Order] = {}
        self._by_id: dict[str, Order] = {}
        by_id = self._by_id
        if len(parts) == 1:
            part = parts[0]
            for order_id, held in (part.orders or {}).items():
                order = join(order_id, ((part.key, held),))
                if order is not None:
                    by_id[order_id] = order
        else:
            for order_id in {order_id: None for part in parts for order_id in part.orders or ()}:
                order = join(order_id, self._holdings(order_id))
                if order is not None:
                    by_id[order_id] = order
        if by_id:
            self.list.extend(by_id.values())
            if len(self.list) > 1:
                self.list.sort(key=_key)
            for order in self.list:
                self._add_up(order, 1)

    def __len__(self) -> int:
        return len(self.list)

    def get(self, order_id: str) -> Order | None:
        """Return the counted order of that id."""
        return self._by_id.get(order_id)

    def _holdings(self, order_id: str) -> Iterator[tuple[str, OrderPart]]:
        for part in self._parts:
            if part.orders is not None:
                held = part.orders.get(order_id)
                if held is not None:
                    yield part.key, held

    def update(self, order_id: str) -> None:
        """Take in what an event has just changed of one order."""
        old = self._by_id.get(order_id)
        new = join(order_id, self._holdings(order_id))
        if old is not None:
            self._add_up(old, -1)
            if new is not None and new.key == old.key and new.items == old.items:
                for name in Order.__struct_fields__:  # in place, since the indexes hold the object
                    setattr(old, name, getattr(new, name))
                self._add_up(old, 1)
                return
            del self.list[self._place(old)]
            del self._by_id[order_id]
            self._newest = None
        if new is not None:
            self.list.insert(self._place(new), new)
            self._by_id[order_id] = new
            self._add_up(new, 1)
            if self._newest is not None:
                self._index(new, self._newest)

    def _place(self, order: Order) -> int:
        orders = self.list
        if orders and orders[-1].key < order.key:  # usually the new order is the newest
            return len(orders)
        return bisect_left(orders, order.key, key=_key)

    def _add_up(self, order: Order, sign: int) -> None:
        totals = self.totals.get(order.currency)
        if totals is None:
            totals = self.totals[order.currency] = Totals()
        totals.orders += sign
        totals.amount_minor += sign * order.amount_minor
        totals.refunded_minor += sign * order.refunded_minor
        if totals.orders == 0:
            del self.totals[order.currency]
        for item in order.items:
            self.items += sign * item.quantity
        if order.promoted:
            self.promoted += sign
        self.foreign_refunds += sign * order.foreign_refunds

    @property
    def newest_by_sku(self) -> dict[str, Order]:
        """The newest order that holds each SKU. Kept up to date; not to be changed."""
        newest = self._newest
        if newest is None:
            newest = self._newest = {}
            self._cycles = {}
            for order in self.list:
                self._index(order, newest)
        return newest

    def _index(self, order: Order, newest: dict[str, Order]) -> None:
        for item in order.items:
            known = newest.get(item.sku)
            if known is None or known.key <= order.key:
                newest[item.sku] = order
            if item.consumption_days is not None:
                known = self._cycles.get(item.sku)
                if known is None or known.key <= order.key:
                    self._cycles[item.sku] = order

    def cycle_days(self, sku: str) -> int | None:
        """Return the days a unit of the SKU lasts as the newest order that states it says; of its lines the last."""
        if sku not in self.newest_by_sku:
            return None
        order = self._cycles.get(sku)
        if order is None:
            return None
        stated = [i.consumption_days for i in order.items if i.sku == sku and i.consumption_days is not None]
        return stated[-1]

    def currency(self) -> str | None:
        """Return the currency with most orders; of equals the alphabetically first; None without orders."""
        totals = self.totals
        if len(totals) == 1:
            return next(iter(totals))
        if not totals:
            return None
        return min(totals, key=lambda currency: (-totals[currency].orders, currency))

    def since(self, time_ms: int) -> Iterator[Order]:
        """Return the orders after a time, oldest first."""
        orders = self.list
        place = 0
        if orders and orders[0].time_ms <= time_ms:
            place = bisect_left(orders, time_ms + 1, key=_time)
        for index in range(place, len(orders)):
            yield orders[index]

    def category_weights(self) -> dict[str, int]:
        """Return the weight of each category over the lines of all orders."""
        weights: dict[str, int] = {}
        for order in self.list:
            for item in order.items:
                if item.category is not None:
                    weights[item.category] = weights.get(item.category, 0) + BUY
        return weights

    def channel_weights(self) -> dict[str, int]:
        """Return the weight of each channel over all orders."""
        weights: dict[str, int] = {}
        for order in self.list:
            if order.channel is not None:
                weights[order.channel] = weights.get(order.channel, 0) + BUY
        return weights


def _key(order: Order) -> Key:
    return order.time_ms, order.event_id


def _time(order: Order) -> int:
    return order.time_ms
