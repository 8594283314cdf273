"""Times as integers of epoch milliseconds: RFC 3339 in and out, durations, time zones."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MIN_MS = 0
"""1970-01-01T00:00:00Z, the first instant an event may have."""

MAX_MS = 4_133_980_800_000
"""2101-01-01T00:00:00Z, the first instant an event may not have."""

DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SHAPE = "must be an RFC 3339 time with an offset, such as 2026-01-02T03:04:05Z"
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})")
_TAIL = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))")
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}

# The three pieces of a time repeat from event to event; each is looked up before it is worked out.
_CACHE_SIZE = 50_000
_days: dict[str, int] = {}
_clocks: dict[str, int] = {}
_tails: dict[str, int] = {}


def _remember(cache: dict[str, int], key: str, value: int) -> int:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value
    return value


def _day_ms(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(_SHAPE)
    year, month, day = map(int, match.groups())
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError:
        raise ValueError(f"has no such date: {text}") from None
    return _remember(_days, text, (ordinal - _EPOCH_DAY) * DAY_MS)


def _clock_ms(text: str) -> int:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(_SHAPE)
    hour, minute, second = map(int, match.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"has no such time of day: {text}")
    return _remember(_clocks, text, ((hour * 60 + minute) * 60 + second) * 1000)


def _tail_parts(text: str) -> tuple[int, int]:
    """Return the fraction, cut to milliseconds, and the offset in milliseconds of what follows the seconds."""
    match = _TAIL.fullmatch(text)
    if match is None:
        raise ValueError(_SHAPE)
    fraction, sign, hours, minutes = match.groups()
    millis = int(fraction[:3].ljust(3, "0")) if fraction else 0
    if sign is None:
        return millis, 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"has no such offset: {sign}{hours}:{minutes}")
    offset = (int(hours) * 60 + int(minutes)) * 60_000
    return millis, -offset if sign == "-" else offset


def _tail_ms(text: str) -> int:
    millis, offset = _tail_parts(text)
    if len(text) > 16:  # longer fractions are rare and would only fill the cache
        return millis - offset
    return _remember(_tails, text, millis - offset)


def _leap_second(text: str) -> int:
    """Return the start of the second after 23:59:60 UTC, whatever fraction is written behind it."""
    _, offset = _tail_parts(text[19:])
    instant = _day_ms(text[:10]) + _clock_ms(f"{text[11:17]}59") + 1000 - offset
    if instant % DAY_MS:
        raise ValueError(f"has no such time of day: {text[11:19]}")
    return instant


def parse_rfc3339(text: str) -> int:
    """Return an RFC 3339 time as epoch milliseconds; further digits are cut, not rounded.

    `T`, `t` or one space stands between date and time, `Z`, `z` or an offset with a colon at the end. The leap second
    23:59:60 UTC counts as the start of the following second. Raises ValueError in plain words for anything else and
    for an instant outside 1970-01-01 up to, not including, 2101-01-01.
    """
    day = _days.get(text[:10])
    clock = _clocks.get(text[11:19])
    tail = _tails.get(text[19:])
    if text[10:11] not in ("T", "t", " "):
        raise ValueError(_SHAPE)
    if text[17:19] == "60":
        instant = _leap_second(text)
    else:
        instant = (
            (_day_ms(text[:10]) if day is None else day)
            + (_clock_ms(text[11:19]) if clock is None else clock)
            + (_tail_ms(text[19:]) if tail is None else tail)
        )
    if MIN_MS <= instant < MAX_MS:
        return instant
    raise ValueError("must be from 1970-01-01 up to, not including, 2101-01-01")


def format_ms(ms: int) -> str:
    """Return epoch milliseconds as UTC text with three decimals: `2026-01-02T03:04:05.678Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises ValueError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a folder's name or a path is refused by the file system in its own way
        raise ValueError(f"unknown time zone {name[:60]!r}") from None


def parse_duration(text: str) -> int:
    """Return a duration such as `90s`, `30m`, `24h`, `7d` or `2w` in milliseconds; a day has 24 hours.

    Raises ValueError for anything else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be a duration such as 90s, 30m, 24h, 7d or 2w")
    return int(match[1]) * _UNIT_MS[match[2]]
