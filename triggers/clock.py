"""Local time: a fast look-up of a zone's offset, local days and times of day, and quiet hours.

A local day is counted from 1970-01-01 (day 0), a time of day in minutes from midnight. A local time that a change of
clocks skips is read with the offset before the change; of one that occurs twice the first is taken.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from schemas import times

MINUTE_MS = 60_000
DAY_MS = times.DAY_MS
_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_LOCAL = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)


class Zone:
    """One time zone. Offsets are cached by UTC day; only a day on which the clocks change asks zoneinfo each time."""

    __slots__ = ("_days", "_info", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._info = times.zone(name)
        self._days: dict[int, int | None] = {}

    def offset(self, time_ms: int) -> int:
        """Return the offset from UTC in ms at an instant."""
        day = time_ms // DAY_MS
        try:
            offset = self._days[day]
        except KeyError:
            start = self._exact(day * DAY_MS)
            offset = self._days[day] = start if start == self._exact((day + 1) * DAY_MS) else None
        return self._exact(time_ms) if offset is None else offset

    def _exact(self, time_ms: int) -> int:
        local = (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(self._info)
        return (local.utcoffset() or timedelta()) // _MILLISECOND

    def day(self, time_ms: int) -> int:
        """Return the local day of an instant."""
        return (time_ms + self.offset(time_ms)) // DAY_MS

    def at(self, day: int, minutes: int) -> int:
        """Return the instant in ms of a time of day on a local day."""
        local_ms = day * DAY_MS + minutes * MINUTE_MS
        before = self.offset(local_ms - DAY_MS)
        if before == self.offset(local_ms + DAY_MS):
            return local_ms - before
        local = (_EPOCH_LOCAL + timedelta(milliseconds=local_ms)).replace(tzinfo=self._info)
        return (local - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """Return the zone of an IANA name. Raises ValueError for an unknown one."""
    return Zone(name)


@lru_cache(maxsize=65536)
def iso_day(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return date.fromordinal(_ORDINAL + day).isoformat()


@lru_cache(maxsize=65536)
def day_number(text: str) -> int:
    """Return the day of a YYYY-MM-DD text. Raises ValueError."""
    return date.fromisoformat(text).toordinal() - _ORDINAL


@lru_cache(maxsize=65536)
def year_of(day: int) -> int:
    """Return the year a day is in."""
    return date.fromordinal(_ORDINAL + day).year


def day_of(year: int, month: int, day: int) -> int:
    """Return the number of a date. Raises ValueError if there is no such date."""
    return date(year, month, day).toordinal() - _ORDINAL


def is_quiet(where: Zone, start: int, end: int, time_ms: int) -> bool:
    """Return whether the local time of day is in [start, end), minutes; past midnight if end is before start."""
    minute = (time_ms + where.offset(time_ms)) % DAY_MS // MINUTE_MS
    return start <= minute < end if start < end else minute >= start or minute < end


def quiet_end(where: Zone, start: int, end: int, time_ms: int) -> int:
    """Return the first instant after `time_ms`, a quiet one, that is not quiet."""
    local_ms = time_ms + where.offset(time_ms)
    ahead = (end * MINUTE_MS - local_ms) % DAY_MS or DAY_MS
    if where.offset(time_ms) == where.offset(time_ms + ahead + DAY_MS):
        return time_ms + ahead
    # The clocks change near by, so the end may be skipped or come twice: look at each minute.
    at = time_ms - time_ms % MINUTE_MS + MINUTE_MS
    while is_quiet(where, start, end, at):
        at += MINUTE_MS
    return at
