"""What a customer is worth: recency, frequency and money with their segments, and simple lifetime value."""

import msgspec

from profiles.orders import OrderBook
from profiles.population import Thresholds
from profiles.service import rounded_ratio

YEAR_MS = 365 * 86_400_000

SEGMENTS = {
    (True, True, True): "重要价值",
    (True, False, True): "重要发展",
    (False, True, True): "重要保持",
    (False, False, True): "重要挽留",
    (True, True, False): "一般价值",
    (True, False, False): "一般发展",
    (False, True, False): "一般保持",
    (False, False, False): "一般挽留",
}
"""By high recency, frequency and money."""

HIGH_FIFTH = 4
"""From which of the five scores on a quantile counts as high."""


class Rfm(msgspec.Struct, gc=False, frozen=True):
    """Scores, higher is better (2 or 1; of fifths 1 to 5), the segment, and the cuts they were judged by.

    `recency_until_ms` is the first instant at which recency is no longer high if no order comes; None if it does not
    change with time alone.
    """

    r: int
    f: int
    m: int
    segment: str
    method: str
    cuts: dict[str, list[float]]
    recency_until_ms: int | None


def net_minor(book: OrderBook, currency: str) -> int:
    """Return paid amounts less refunds in one currency."""
    totals = book.totals.get(currency)
    return 0 if totals is None else totals.net_minor


def judge_fixed(
    book: OrderBook,
    now_ms: int,
    currency: str,
    recency_ms: int,
    frequency: int,
    money_minor: int,
    cuts: dict[str, list[float]],
) -> Rfm:
    """Judge a buyer by fixed cuts: last order at most `recency_ms` ago, so many orders, so much net revenue."""
    last_ms = book.list[-1].time_ms
    r = now_ms - last_ms <= recency_ms
    f = len(book.list) >= frequency
    m = net_minor(book, currency) >= money_minor
    until = last_ms + recency_ms + 1 if r else None
    return Rfm(1 + r, 1 + f, 1 + m, SEGMENTS[r, f, m], "fixed", cuts, until)


def judge_among(book: OrderBook, currency: str, thresholds: Thresholds) -> Rfm:
    """Judge a buyer by the mean or the fifths of all buyers."""
    r, f, m = thresholds.scores(book.list[-1].time_ms, len(book.list), net_minor(book, currency))
    high = HIGH_FIFTH if thresholds.method == "quantile" else 2
    segment = SEGMENTS[r >= high, f >= high, m >= high]
    return Rfm(r, f, m, segment, thresholds.method, thresholds.cuts(), None)


def lifetime_minor(net: int, first_ms: int, now_ms: int, factor: tuple[int, int]) -> int:
    """Return the simple lifetime value in minor units, rounded half to even.

    CLV = average order value x orders a year x years x margin, where orders a year are the orders over the years
    since the first one, at least one year. The number of orders cancels out, so nothing is rounded on the way:
    CLV = net revenue x years x margin / years since the first order. `factor` is years x margin as a fraction.
    """
    span_ms = max(YEAR_MS, now_ms - first_ms)
    return rounded_ratio(net * YEAR_MS * factor[0], span_ms * factor[1])
