"""Interest and habit: favourites, purchase cycles, the usual weekday and hour of a purchase."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from profiles.fold_browse import QUARTER_MS
from profiles.orders import Order

FAVOURITES = 5
DAY_MS = 86_400_000
HABIT_ORDERS = 100  # the newest: a habit is what one does lately, and the cost stays the same for any customer


def favourites(weights: dict[str, int]) -> list[str]:
    """Return the heaviest names, at most 5, of equals the alphabetically first; an empty name is none."""
    return [name for _, name in sorted([(-weight, name) for name, weight in weights.items() if name])[:FAVOURITES]]


def purchase_cycles(orders: Sequence[Order]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean days between orders with the same SKU, and with the same category, to 1 place.

    Only what was bought at two instants or more has a cycle: the time from the first to the last order over the
    number of orders less one. `orders` are by time; the maps are in alphabetical order.
    """
    if len(orders) < 2:
        return {}, {}
    by_sku: dict[str, list[int]] = {}
    by_category: dict[str, list[int]] = {}
    for place, order in enumerate(orders):
        at = order.time_ms
        for item in order.items:
            for seen, name in ((by_sku, item.sku), (by_category, item.category)):
                if name is None:
                    continue
                known = seen.get(name)
                if known is None:
                    seen[name] = [1, at, at, place]
                elif known[3] != place:  # an order counts once, however many lines it has
                    known[0] += 1
                    known[2] = at
                    known[3] = place
    return _means(by_sku), _means(by_category)


def _means(seen: dict[str, list[int]]) -> dict[str, float]:
    return {
        name: round((last - first) / (number - 1) / DAY_MS, 1)
        for name, (number, first, last, _) in sorted([entry for entry in seen.items() if entry[1][2] > entry[1][1]])
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
        weekday, hour = _slot(zone, order.time_ms // QUARTER_MS)
        weekdays[weekday] += 1
        hours[hour] += 1
    return weekdays.index(max(weekdays)), hours.index(max(hours))


@lru_cache(maxsize=1 << 16)  # quarter hours of nearly two years: one look-up for most orders of a whole population
def _slot(zone: ZoneInfo, quarter: int) -> tuple[int, int]:
    """Return the local weekday and hour of a quarter hour since the epoch."""
    local = datetime.fromtimestamp(quarter * QUARTER_MS // 1000, zone)
    return local.isoweekday(), local.hour


def mean_gap_ms(orders: Sequence[Order]) -> int | None:
    """Return the mean time between orders; None with fewer than two."""
    if len(orders) < 2:
        return None
    return (orders[-1].time_ms - orders[0].time_ms) // (len(orders) - 1)
