"""Dates from a trait: its text, and the days that follow from it by year."""

import re
from calendar import monthrange
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from triggers.anchors import Calendar
from triggers.clock import day_of, year_of

_DATE = re.compile(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})")
_LEAP_YEAR = 2000
_LAST_YEAR = 9990

YearDay = tuple[int | None, int, int]


@lru_cache(maxsize=65536)
def _parsed(text: str) -> YearDay | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year = None if match[1] is None else int(match[1])
    month, day = int(match[2]), int(match[3])
    try:
        day_of(_LEAP_YEAR if year is None else year, month, day)
    except ValueError:
        return None
    return year, month, day


def parse_date(value: Any) -> YearDay | None:
    """Return (year or None, month, day) of YYYY-MM-DD or MM-DD; None if it is no such date."""
    return _parsed(value) if isinstance(value, str) else None


@lru_cache(maxsize=65536)
def _moved(year: int, month: int, day: int, months: int, days: int) -> tuple[int, int]:
    """Return (year, day) of what lies months and days after a date; a day that a month lacks is its last."""
    years, place = divmod(month - 1 + months, 12)
    year, month = year + years, place + 1
    found = day_of(year, month, min(day, monthrange(year, month)[1])) + days
    return year_of(found), found


def days_from(since: Calendar, value: Any, start: int) -> Iterator[tuple[int, int]]:
    """Yield (year, local day) of the dates that follow from a trait's value, ascending, from the year `start` on.

    Without end for a date of every year; at most one for a date that is there once, which needs its own year.
    """
    date = parse_date(value)
    if date is None:
        return
    stated_year, month, day = date
    if since.once:
        # Beyond these years neither the date nor what the offset makes of it can be of a living person.
        if stated_year is not None and 1500 <= stated_year <= 3000:
            found = _moved(stated_year, month, day, since.months, since.days)
            if found[0] >= start:
                yield found
        return
    year = start if since.months == 0 and since.days == 0 else start - 2
    while year < _LAST_YEAR:
        found = _moved(year, month, day, since.months, since.days)
        if found[0] >= start:
            yield found
        year += 1
