"""The lifecycle stage, when it began and when it will change if nothing happens."""

import msgspec

from profiles.orders import OrderBook
from schemas.settings import LifecycleSettings

DAY_MS = 86_400_000

STAGES_ZH = {
    "prospect": "潜在",
    "new": "新",
    "growing": "成长",
    "mature": "成熟",
    "declining": "衰退",
    "lost": "流失",
}


class Lifecycle(msgspec.Struct, gc=False, frozen=True):
    """The stage, since when and until when (epoch ms); None: unknown, or it does not change by itself."""

    stage: str
    since_ms: int | None
    until_ms: int | None


def stage_of(book: OrderBook, first_seen: int | None, now_ms: int, settings: LifecycleSettings) -> Lifecycle:
    """Return the stage at an instant.

    A stage of an active buyer began with the order that reached its number of orders, or with the first order after a
    pause that had made the buyer declining or lost, whichever is later.
    """
    orders = book.list
    if not orders:
        return Lifecycle("prospect", first_seen, None)
    last_ms = orders[-1].time_ms
    declining_ms = last_ms + settings.declining_days * DAY_MS
    lost_ms = last_ms + settings.lost_days * DAY_MS
    if now_ms >= lost_ms:
        return Lifecycle("lost", lost_ms, None)
    if now_ms >= declining_ms:
        return Lifecycle("declining", declining_ms, lost_ms)
    number = len(orders)
    if number >= settings.mature_orders:
        stage, reached = "mature", settings.mature_orders
    elif number >= settings.growing_orders:
        stage, reached = "growing", settings.growing_orders
    else:
        stage, reached = "new", 1
    pause_ms = settings.declining_days * DAY_MS
    began = number - 1
    while began >= reached and orders[began].time_ms - orders[began - 1].time_ms <= pause_ms:
        began -= 1
    return Lifecycle(stage, orders[began].time_ms, declining_ms)
