"""Membership: tier by net spend over a rolling year, sign-in streaks and badges."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from profiles.fold_browse import QUARTER_MS
from profiles.orders import OrderBook
from profiles.value import YEAR_MS

NO_TIER = "none"
ORDER_BADGES = (1, 5, 10, 50, 100)
STREAK_BADGES = (7, 30, 100)


class Tier(msgspec.Struct, gc=False, frozen=True):
    """The tier, the spend it follows from, the next one up, and when it is lost if nothing is bought (epoch ms)."""

    name: str
    spend_minor: int
    threshold_minor: int
    next_name: str | None
    gap_minor: int | None
    until_ms: int | None


def tier_of(book: OrderBook, now_ms: int, currency: str, tiers: Sequence[tuple[int, str]]) -> Tier:
    """Return the tier by the net spend in `currency` of orders paid in the 365 days up to and including `now_ms`.

    `tiers` are (threshold in minor units, name), ascending.
    """
    counted = (
        [o for o in book.since(now_ms - YEAR_MS) if o.currency == currency and o.time_ms <= now_ms] if book.list else []
    )
    spend = 0
    for order in counted:
        spend += order.amount_minor - order.refunded_minor
    name = NO_TIER
    threshold = 0
    next_name: str | None = None
    gap: int | None = None
    for cut, tier in tiers:
        if spend >= cut:
            name = tier
            threshold = cut
        else:
            next_name = tier
            gap = cut - spend
            break
    until: int | None = None
    if threshold > 0:
        left = spend
        for order in counted:
            left -= order.amount_minor - order.refunded_minor
            if left < threshold:
                until = order.time_ms + YEAR_MS
                break
    return Tier(name, spend, threshold, next_name, gap, until)


def streaks(quarters: Sequence[int], zone: ZoneInfo, now_ms: int) -> tuple[int, int]:
    """Return the current and the longest run of local days with a check-in.

    The current run counts while its last day is today or yesterday; `quarters` are ascending.
    """
    if not quarters:
        return 0, 0
    days: list[date] = []
    for quarter in quarters:
        day = datetime.fromtimestamp(quarter * QUARTER_MS // 1000, zone).date()
        if not days or day > days[-1]:
            days.append(day)
    longest = run = 1
    for before, day in pairwise(days):
        run = run + 1 if day - before == timedelta(days=1) else 1
        longest = max(longest, run)
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    return run if today - days[-1] <= timedelta(days=1) else 0, longest


def badges(orders: int, longest_streak: int) -> list[str]:
    """Return the badges earned: `orders:N` and `streak:N`, the highest of each."""
    earned = []
    for name, number, steps in (("orders", orders, ORDER_BADGES), ("streak", longest_streak, STREAK_BADGES)):
        reached = [step for step in steps if number >= step]
        if reached:
            earned.append(f"{name}:{reached[-1]}")
    return earned
