"""Interest and habit: favourites, purchase cycles, the usual weekday and hour of a purchase."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from profiles.orders import Order

FAVOURITES = 5
DAY_MS = 86_400_000
HABIT_ORDERS = 100  # the newest: a habit is what one does lately, and the cost stays the same for any customer


def favourites(weights: dict[str, int]) -> list[str]:
    """Return the heaviest names, at most 5, of equals the alphabetically first."""
    if len(weights) < 2:
        return list(weights)
    return sorted(weights, key=lambda name: (-weights[name], name))[:FAVOURITES]


def purchase_cycles(orders: Sequence[Order]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean days between orders with the same SKU, and with the same category, to 1 place.

    Only what was bought at two instants or more has a cycle: the time from the first to the last order over the
    number of orders less one. `orders` are by time; the maps are in alphabetical order.
    """
    if len(orders) < 2:
        return {}, {}
    by_sku: dict[str, list[int]] = {}
    by_category: dict[str, list[int]] = {}
    for order in orders:
        at = order.time_ms
        for item in order.items:
            _note(by_sku, item.sku, at, order)
            if item.category is not None:
                _note(by_category, item.category, at, order)
    return _means(by_sku), _means(by_category)


def _note(seen: dict[str, list[int]], name: str, at: int, order: Order) -> None:
    """Count an order once for a name, as [orders, first ms, last ms, the order it was last counted for]."""
    known = seen.get(name)
    if known is None:
        seen[name] = [1, at, at, id(order)]
    elif known[3] != id(order):
        known[0] += 1
        known[2] = at
        known[3] = id(order)


def _means(seen: dict[str, list[int]]) -> dict[str, float]:
    return {
        name: round((last - first) / (number - 1) / DAY_MS, 1)
        for name, (number, first, last, _) in sorted(seen.items())
        if last > first
    }


def usual_time(orders: Sequence[Order], zone: ZoneInfo) -> tuple[int | None, int | None]:
    """Return the most frequent local weekday (1 Monday to 7 Sunday) and hour of the newest 100 orders.

    Of equals the earliest; None, None without orders.
    """
    if not orders:
        return None, None
    weekdays = [0] * 8
    hours = [0] * 24
    for order in orders[-HABIT_ORDERS:]:
        local = datetime.fromtimestamp(order.time_ms // 1000, zone)
        weekdays[local.isoweekday()] += 1
        hours[local.hour] += 1
    return weekdays.index(max(weekdays)), hours.index(max(hours))


def mean_gap_ms(orders: Sequence[Order]) -> int | None:
    """Return the mean time between orders; None with fewer than two."""
    if len(orders) < 2:
        return None
    return (orders[-1].time_ms - orders[0].time_ms) // (len(orders) - 1)
