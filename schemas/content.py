"""What an event says, as one comparable value: for the rule about the same id twice."""

import json
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from schemas.errors import InvalidEvent
from schemas.json_text import parse
from schemas.times import parse_rfc3339

_MARK = "\0"  # no string of a valid event holds a NUL, so nothing else looks like a marked number


def canonical_number(text: str) -> str:
    """Return a JSON number so that equal values give equal text: 1, 1.0 and 10e-1 give `1e0`; any zero gives `0`."""
    mantissa, _, power = text.replace("E", "e").partition("e")
    negative = mantissa.startswith("-")
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    significant = digits.rstrip("0")
    shift = len(digits) - len(significant) - len(fraction)
    # Decimal, since an exponent of thousands of digits is more than int() reads
    exact = Context(prec=len(power) + 20, Emax=MAX_EMAX, Emin=MIN_EMIN)
    exponent = exact.add(Decimal(power or "0"), shift)
    return f"{'-' if negative else ''}{significant}e{exponent:f}"


def _marked(text: str) -> str:
    return _MARK + canonical_number(text)


def content_key(line: bytes) -> bytes:
    """Return the content of a valid event line: equal for two lines iff type, instant, identifiers and data are.

    Key order, white space and the spelling of the time do not matter; numbers compare by exact value (1.0 is 1, but
    true is not 1); every field of `identifiers` and `data` counts, also unknown ones. Raises InvalidEvent for a line
    that is no event.
    """
    value: Any = parse(line, parse_float=_marked, parse_int=_marked)
    if not isinstance(value, dict) or not isinstance(value.get("time"), str):
        raise InvalidEvent("invalid", "time: is missing")
    time = value["time"]
    try:
        time_ms = int(Decimal(time[1:])) if time.startswith(_MARK) else parse_rfc3339(time)
    except ValueError as error:
        raise InvalidEvent("invalid", f"time: {error}") from None
    content = [value.get("type"), time_ms, value.get("identifiers"), value.get("data")]
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
