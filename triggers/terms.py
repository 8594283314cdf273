"""The terms of a rule as people write them: durations, times of day, caps, quiet hours, shares.

YAML 1.1 reads `off` as false, `22:00` without quotes as the number 1320 (minutes) and `0` as a number; all of these
are taken for what was meant. Every parser raises ValueError in plain words.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator

from schemas.times import parse_duration

OFF = (False, "off", "none", "no")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_CYCLE = re.compile(r"cycle(?:\s*([+-])\s*(\S+))?")
_CAP = re.compile(r"([0-9]{1,9})\s+per\s+(\S+)")
_SCALE = 1 << 64


class Cycle(msgspec.Struct, frozen=True):
    """When a pack is used up: consumption days times quantity after the purchase, plus `shift_ms`."""

    shift_ms: int


class Cap(msgspec.Struct, frozen=True):
    """At most `count` within any `window_ms` that ends now."""

    count: int
    window_ms: int


class Quiet(msgspec.Struct, frozen=True):
    """Quiet in [start, end), minutes of the local day; past midnight if end is before start."""

    start: int
    end: int


class Share(msgspec.Struct, frozen=True):
    """A part of all people. `threshold` is of 2**64: who hashes below it is in."""

    percent: Decimal
    threshold: int


def is_off(value: Any) -> bool:
    """Return whether a value as written means `off`."""
    return value is False or (isinstance(value, str) and value.strip().lower() in OFF)


def duration(value: Any) -> int:
    """Return ms of `24h`, `7d`, `30m`, `90s`, `2w`; the number 0 needs no unit."""
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, str):
        return 0 if value.strip() == "0" else parse_duration(value.strip())
    raise ValueError("must be a duration with its unit, such as 24h or 7d")


def positive_duration(value: Any) -> int:
    """Return ms of a duration that is not 0."""
    found = duration(value)
    if found == 0:
        raise ValueError("must be longer than 0")
    return found


def delay(value: Any) -> int | Cycle:
    """Return what `after` says: a duration in ms, or `cycle`, `cycle - 5d`, `cycle + 2d`."""
    match = _CYCLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return duration(value)
    sign, shift = match.groups()
    if sign is None:
        return Cycle(0)
    return Cycle(-duration(shift) if sign == "-" else duration(shift))


def minute_of_day(value: Any) -> int:
    """Return minutes of a time of day, 00:00 to 23:59."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 1440:
            return value
    elif isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        hour, minute = int(match[1]), int(match[2])
        if hour < 24 and minute < 60:
            return hour * 60 + minute
    raise ValueError('must be a time of day from "00:00" to "23:59"')


def cap(value: Any) -> Cap:
    """Return what `2 per 1d` says."""
    match = _CAP.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("must be off or a cap such as '2 per 1d'")
    return Cap(int(match[1]), positive_duration(match[2]))


def cap_or_off(value: Any) -> Cap | None:
    """Return a cap, or None for `off`."""
    return None if is_off(value) else cap(value)


def quiet(value: Any) -> Quiet:
    """Return what `{from: "22:00", to: "08:00"}` says."""
    if not isinstance(value, dict) or set(value) != {"from", "to"}:
        raise ValueError('must be default, off or {from: "22:00", to: "08:00"}')
    start, end = (_edge(value, name) for name in ("from", "to"))
    if start == end:
        raise ValueError("from and to are the same; for no quiet hours write off")
    return Quiet(start, end)


def _edge(value: dict[str, Any], name: str) -> int:
    try:
        return minute_of_day(value[name])
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def quiet_or_off(value: Any) -> Quiet | None:
    """Return quiet hours, or None for `off`."""
    return None if is_off(value) else quiet(value)


def share(value: Any) -> Share:
    """Return what `10%` says; 0 and `off` are nobody."""
    if is_off(value) or (value == 0 and not isinstance(value, bool)):
        return Share(Decimal(0), 0)
    text = value.strip() if isinstance(value, str) else ""
    try:
        percent = Decimal(text[:-1]) if text.endswith("%") and len(text) <= 20 else Decimal("NaN")
    except InvalidOperation:
        percent = Decimal("NaN")
    if not percent.is_finite() or not 0 <= percent <= 100:
        raise ValueError("must be a percentage from 0% to 100%, such as 10%")
    return Share(percent, int(percent * _SCALE / 100))


DurationMs = Annotated[int, BeforeValidator(positive_duration)]
Delay = Annotated[int | Cycle, BeforeValidator(delay)]
MinuteOfDay = Annotated[int, BeforeValidator(minute_of_day)]
