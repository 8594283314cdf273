"""What all charts of the answers share: the language, the colours, the names."""

from datetime import date
from typing import Any, NamedTuple

from lake.answers.shown import MONTHS, named
from lake.report_charts import AMBER, INDIGO, ROSE, SKY, SLATE, TEAL
from lake.report_words import Lang

Figure = dict[str, Any]
Drawn = tuple[list[Figure], Figure]
"""Traces and layout, as Plotly takes them."""

COLOURS = (INDIGO, TEAL, AMBER, ROSE, SKY, SLATE, "#a855f7", "#84cc16", "#fb923c", "#06b6d4", "#ec4899", "#64748b")
MOST_BARS = 15
"""Bars of a chart; the table has more."""

MOST_SERIES = 12
FEW_POINTS = 40
"""Up to so many points a line shows each of them."""


class Scene(NamedTuple):
    """How many minor units are one unit of the currency, and the language."""

    scale: int
    lang: Lang

    def name(self, value: Any, column: str) -> str:
        """Return the name of a value on an axis or in a legend."""
        if isinstance(value, date):
            return value.isoformat()[:7] if column in MONTHS else value.isoformat()
        return named(str(value), column, self.lang)


def shares(percent: bool) -> Figure:
    """Return what an axis of shares says more than one of numbers."""
    return {"tickformat": ".0%"} if percent else {}
