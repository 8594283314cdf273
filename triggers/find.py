"""For each kind of anchor: the instances that the facts of a person give, with the time each is due.

An event after the anchor, by (time, id), of a type the rule's `until` names calls it off. `order.placed` stands for
any event that is an order, `order.paid` for a paid order whose amount is known. Marks are looked at elsewhere.
"""

from collections.abc import Callable, Sequence

from schemas.settings import LifecycleSettings, Settings
from triggers import scope
from triggers.anchors import (
    ORDER_PAID,
    CartChanged,
    LowScore,
    Occurrence,
    PaidOrder,
    Purchase,
    StageEntered,
    TicketResolved,
)
from triggers.clock import DAY_MS
from triggers.facts import Facts, Moment, OrderLike
from triggers.instances import Found
from triggers.model import Rule
from triggers.terms import Cycle

Find = Callable[[Facts], Sequence[Found]]
Limit = Callable[[Facts], Moment | None]

ORDER_PLACED = "order.placed"
ORDER_EVENTS = frozenset((ORDER_PLACED, ORDER_PAID, "order.cancelled"))
CART_EVENTS = frozenset(("cart.added", "cart.removed", "cart.cleared", ORDER_PLACED, ORDER_PAID))
SCORE_EVENTS = frozenset(("chat.rated", "ticket.rated", "survey.answered"))
REOPENED = "ticket.reopened"


def limit_of(until: Sequence[str]) -> Limit:
    """Return a function that gives the newest event that calls off, None if there is none."""
    if not until:
        return lambda facts: None
    takes = [_newest(event) for event in until]
    if len(takes) == 1:
        return takes[0]

    def latest(facts: Facts) -> Moment | None:
        found = [moment for take in takes if (moment := take(facts)) is not None]
        return max(found, default=None)

    return latest


def _newest(event: str) -> Limit:
    if event == ORDER_PLACED:
        return lambda facts: facts.last_order()
    if event == ORDER_PAID:
        return _last_paid

    def last(facts: Facts) -> Moment | None:
        anchor = facts.last(event)
        return None if anchor is None else anchor[:2]

    return last


def _last_paid(facts: Facts) -> Moment | None:
    orders = facts.orders().list
    return (orders[-1].time_ms, orders[-1].event_id) if orders else None


def until_reads(until: Sequence[str]) -> frozenset[str]:
    """Return the types of event that can change what `until` says."""
    orders = ORDER_EVENTS if ORDER_PLACED in until or ORDER_PAID in until else frozenset()
    return frozenset(until) | orders


def finder(rule: Rule, settings: Settings) -> tuple[Find, frozenset[str], scope.Scope]:
    """Return a rule's finder, the types of event that can change what it gives, and the names it offers."""
    since, after = rule.since, rule.after
    reads = until_reads(rule.until)
    if isinstance(since, Purchase):
        return _purchases(after), ORDER_EVENTS, scope.PURCHASE
    if isinstance(after, Cycle):
        raise TypeError(f"{rule.name}: a cycle without a purchase")
    limit = limit_of(rule.until)
    if isinstance(since, CartChanged):
        return _carts(after, limit), reads | CART_EVENTS, scope.cart_scope(settings.currency)
    if isinstance(since, PaidOrder):
        return _paid_order(since.which == "first", after, limit), reads | ORDER_EVENTS, scope.ORDER
    if isinstance(since, TicketResolved):
        others = limit_of([event for event in rule.until if event != REOPENED])
        # What counts as reopened also follows from a later opening of the same ticket.
        types = {"ticket.resolved"} | ({REOPENED, "ticket.opened"} if REOPENED in rule.until else set())
        return _tickets(after, others, REOPENED in rule.until), reads | types, scope.TICKET
    if isinstance(since, LowScore):
        return _scores(after, limit), reads | SCORE_EVENTS, scope.SCORE
    if isinstance(since, StageEntered):
        return _stage(since.stage, after, limit, settings.profiles.lifecycle), reads | ORDER_EVENTS, scope.ORDER
    if isinstance(since, Occurrence):
        return _occurrence(since, after, limit), reads | {since.event}, {}
    raise TypeError(f"{rule.name}: no finder for {since!r}")


def _carts(after: int, limit: Limit) -> Find:
    def find(facts: Facts) -> Sequence[Found]:
        carts = facts.carts()
        if not carts:
            return ()
        stop = limit(facts)
        found: list[Found] = []
        for cart_id, cart in carts.items():
            time_ms, event_id, part = cart.changed
            if stop is None or stop <= (time_ms, event_id):
                found.append((cart_id, event_id, time_ms, part, time_ms + after, cart))
        return found

    return find


def _order_found(order: OrderLike, due_ms: int) -> Found:
    return "", order.event_id, order.time_ms, order.part, due_ms, order


def _paid_order(first: bool, after: int, limit: Limit) -> Find:
    place = 0 if first else -1

    def find(facts: Facts) -> Sequence[Found]:
        orders = facts.orders().list
        if not orders:
            return ()
        order = orders[place]
        time_ms = order.time_ms
        stop = limit(facts)
        if stop is not None and stop > (time_ms, order.event_id):
            return ()
        return (_order_found(order, time_ms + after),)

    return find


def _purchases(after: int | Cycle) -> Find:
    cycle = after if isinstance(after, Cycle) else None
    plain = after if isinstance(after, int) else 0

    def find(facts: Facts) -> Sequence[Found]:
        book = facts.orders()
        found: list[Found] = []
        for sku, order in book.newest_by_sku.items():
            days = book.cycle_days(sku)
            if days is None and cycle is not None:
                continue
            time_ms = order.time_ms
            quantity = 0
            for item in order.items:
                if item.sku == sku:
                    quantity += item.quantity
            if cycle is None:
                due_ms = time_ms + plain
            else:
                due_ms = max(time_ms, time_ms + (days or 0) * quantity * DAY_MS + cycle.shift_ms)
            found.append((sku, order.event_id, time_ms, order.part, due_ms, (order, quantity, days)))
        return found

    return find


def _tickets(after: int, limit: Limit, until_reopened: bool) -> Find:
    def find(facts: Facts) -> Sequence[Found]:
        tickets = facts.tickets()
        if not tickets:
            return ()
        stop = limit(facts)
        found: list[Found] = []
        for ticket_id, ticket in tickets.items():
            if until_reopened and ticket.open:
                continue
            for time_ms, event_id, part in ticket.resolutions:
                if stop is None or stop <= (time_ms, event_id):
                    found.append((ticket_id, event_id, time_ms, part, time_ms + after, ticket))
        return found

    return find


def _scores(after: int, limit: Limit) -> Find:
    def find(facts: Facts) -> Sequence[Found]:
        scores = facts.scores()
        if not scores:
            return ()
        stop = limit(facts)
        return [
            (each.event_id, each.event_id, each.time_ms, each.part, each.time_ms + after, each)
            for each in scores
            if stop is None or stop <= (each.time_ms, each.event_id)
        ]

    return find


def _occurrence(since: Occurrence, after: int, limit: Limit) -> Find:
    event, first = since.event, since.which == "first"

    def find(facts: Facts) -> Sequence[Found]:
        anchor = facts.first(event) if first else facts.last(event)
        if anchor is None:
            return ()
        time_ms, event_id, part = anchor
        stop = limit(facts)
        if stop is not None and stop > (time_ms, event_id):
            return ()
        return (("", event_id, time_ms, part, time_ms + after, None),)

    return find


def _stage(stage: str, after: int, limit: Limit, cuts: LifecycleSettings) -> Find:
    """Return the finder of the beginning of a stage; leaving the stage before it is due calls it off."""
    lost, declining = cuts.lost_days * DAY_MS, cuts.declining_days * DAY_MS
    fading = min(lost, declining)

    def by_count(orders: int) -> str:
        if orders >= cuts.mature_orders:
            return "mature"
        return "growing" if orders >= cuts.growing_orders else "new"

    def find(facts: Facts) -> Sequence[Found]:
        orders = facts.orders().list
        if not orders:
            return ()
        anchor = orders[-1]
        if stage in ("declining", "lost"):
            begun = anchor.time_ms + (lost if stage == "lost" else declining)
            left = anchor.time_ms + lost if stage == "declining" else None
        else:
            if by_count(len(orders)) != stage:
                return ()
            place = len(orders) - 1
            while (
                place > 0 and by_count(place) == stage and orders[place].time_ms - orders[place - 1].time_ms <= fading
            ):
                place -= 1
            begun, left = orders[place].time_ms, anchor.time_ms + fading
            anchor = orders[place]
        stop = limit(facts)
        if (left is not None and begun + after >= left) or (
            stop is not None and stop > (anchor.time_ms, anchor.event_id)
        ):
            return ()
        return (_order_found(anchor, begun + after),)

    return find
