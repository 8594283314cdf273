"""Thresholds that need all people: the means and fifths of buyers, for RFM."""

from array import array
from bisect import bisect_left

import msgspec

from profiles.orders import OrderBook
from schemas.settings import Settings

FIFTHS = 5
_MAX = 2**63 - 1  # what an array of 64-bit integers holds


class Thresholds(msgspec.Struct, frozen=True):
    """How buyers compare: `method` mean or quantile, the number of buyers, and three rows of cuts.

    The rows are for the time of the last order (epoch ms, later is better), the number of orders and the net revenue
    in minor units of the setting's currency. For `mean` a row is the sum over buyers; a value is high above the mean.
    For `quantile` it is the values at one to four fifths (nearest rank); the score is one more than the cuts a value
    is above, so equal values get equal scores.
    """

    method: str
    buyers: int
    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    money: tuple[int, ...]

    def scores(self, last_ms: int, orders: int, net_minor: int) -> tuple[int, int, int]:
        """Return the scores of one buyer: 1 or 2 for `mean`, 1 to 5 for `quantile`."""
        return (
            self._score(last_ms, self.recency),
            self._score(orders, self.frequency),
            self._score(net_minor, self.money),
        )

    def _score(self, value: int, row: tuple[int, ...]) -> int:
        if self.method == "mean":
            return 2 if value * self.buyers > row[0] else 1
        return 1 + bisect_left(row, value)

    def cuts(self) -> dict[str, list[float]]:
        """Return the cuts as a tag states them, by score; the mean rounded to 2 places."""
        return {
            name: [round(row[0] / self.buyers, 2)] if self.method == "mean" else list(row)
            for name, row in (("recency", self.recency), ("frequency", self.frequency), ("money", self.money))
        }


class Population:
    """Adds up the buyers one by one; 24 bytes each for fifths, nothing for means or fixed cuts."""

    def __init__(self, settings: Settings) -> None:
        self.method = settings.profiles.rfm.method
        self._currency = settings.currency
        self._buyers = 0
        self._sums = [0, 0, 0]
        self._values = (array("q"), array("q"), array("q"))

    @property
    def needed(self) -> bool:
        """Whether the method of the settings needs the population at all."""
        return self.method != "fixed"

    def add(self, book: OrderBook) -> None:
        """Add one person's orders; who has none is no buyer."""
        if not book.list or self.method == "fixed":
            return
        totals = book.totals.get(self._currency)
        self.add_row((book.list[-1].time_ms, len(book.list), 0 if totals is None else totals.net_minor))

    def add_row(self, row: tuple[int, int, int]) -> None:
        """Add a buyer by the time of the last order in ms, the number of orders and the net revenue in minor units."""
        self._buyers += 1
        for place, value in enumerate(row):
            if self.method == "mean":
                self._sums[place] += value
            else:
                self._values[place].append(min(value, _MAX))

    def thresholds(self) -> Thresholds | None:
        """Return the thresholds over those added; None when none are needed or nobody has bought."""
        if not self._buyers:
            return None
        rows: list[tuple[int, ...]]
        if self.method == "mean":
            rows = [(total,) for total in self._sums]
        else:
            rows = [_fifths(values) for values in self._values]
        return Thresholds(self.method, self._buyers, *rows)


def _fifths(values: "array[int]") -> tuple[int, ...]:
    """Return the values at one to four fifths by nearest rank."""
    ordered = sorted(values)
    return tuple(ordered[-(-len(ordered) * fifth // FIFTHS) - 1] for fifth in range(1, FIFTHS))
