"""What an answer is."""

from dataclasses import dataclass
from typing import Literal

from lake.report_words import Lang

Words = tuple[str, str]
"""A text in English and in Chinese."""


@dataclass(frozen=True)
class Chart:
    """How an answer is drawn: columns by name.

    `panels`: each of `y` over `x` in a small chart of its own. `bar`, `stacked` and `line`: `y` over `x`, one series
    for each of `y`, or for each value of the column `by`. `heat`: `y[0]` as tiles over `x` and `by`. `flow`: `y[0]`
    people from `x` to `by`. `grid`: the eight RFM segments as tiles, `y` people and money of the segment `x`. `versus`:
    `y` two shares for each `x`, and beside them the difference with its interval.
    """

    kind: Literal["panels", "bar", "stacked", "line", "heat", "flow", "grid", "versus"]
    x: str
    y: tuple[str, ...]
    by: str | None = None
    horizontal: bool = False
    percent: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """A question that is asked often: a view over the tables of a snapshot.

    `needs` names the tables it reads, as `table.column` if older folders have the table without that column; `helps`
    those that may be empty where a folder has none. `columns` has its columns in order with their labels; amounts end
    with `_minor`, and a boolean `complete` is false for a month that is not over. `empty` says why there may be no row.
    A `compared` one needs the people of an earlier snapshot too, as `earlier_people`, and so is no view of the file.

    In `sql` `{currency}` stands for the snapshot's currency and `{now}` for its moment in local time, as literals;
    `kith_local(moment)` and `kith_month(moment)` give local time and month of an instant.
    """

    name: str
    title: Words
    note: Words
    empty: Words
    needs: tuple[str, ...]
    columns: dict[str, Words]
    sql: str
    chart: Chart
    helps: tuple[str, ...] = ()
    compared: bool = False
    wide: bool = False

    @property
    def view(self) -> str:
        """Name of the view."""
        return self.name.replace("-", "_")

    def label(self, column: str, lang: Lang) -> str:
        """Return the label of a column."""
        return pick(self.columns[column], lang)


def pick(words: Words, lang: Lang) -> str:
    """Return a text in one language."""
    return words[1] if lang == "zh" else words[0]
