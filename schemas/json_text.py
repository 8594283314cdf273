"""Strict JSON with exact numbers: the slow, careful reader behind the fast decoder.

It refuses what RFC 8259 does not allow and what Kith does not store: bytes that are not UTF-8, NaN and Infinity,
lone surrogates, NUL characters, nesting deeper than 500. Of a repeated key the last counts.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NoReturn

from schemas.errors import InvalidEvent

MAX_DEPTH = 500

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


class Number:
    """A JSON number as it was written: one with a fraction or an exponent, or too long for an int."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Number({self.text!r})"

    def approximate(self) -> float | Decimal:
        """Return the nearest float; a Decimal (infinite at the very end) where floats do not reach."""
        value = float(self.text)
        if isfinite(value):
            return value
        try:
            return Decimal(self.text)
        except InvalidOperation:
            return Decimal("-Infinity" if self.text.startswith("-") else "Infinity")


def _integer(text: str) -> int | Number:
    try:
        return int(text)
    except ValueError:  # Python refuses to convert thousands of digits
        return Number(text)


def _constant(name: str) -> NoReturn:
    raise InvalidEvent("not_json", f"{name} is not JSON")


def depth(text: str) -> int:
    """Return how deep the brackets outside strings are nested at most."""
    level = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        mark = match[0]
        if mark in "[{":
            level += 1
            deepest = max(deepest, level)
        elif mark in "]}":
            level -= 1
    return deepest


def _check_escapes(text: str) -> None:
    """Refuse NUL and lone surrogates by what is written, so also where a repeated key hides them."""
    open_end = -1  # where a high surrogate ended that still needs its low one
    for match in _ESCAPE.finditer(text):
        code = int(match[1], 16) if match[1] else -1
        low = 0xDC00 <= code <= 0xDFFF
        if low != (open_end == match.start()) or (open_end >= 0 and not low):
            raise InvalidEvent("not_json", "a string holds half a surrogate pair")
        if code == 0:
            raise InvalidEvent("not_json", "a string holds a NUL character")
        open_end = match.end() if 0xD800 <= code <= 0xDBFF else -1
    if open_end >= 0:
        raise InvalidEvent("not_json", "a string holds half a surrogate pair")


def parse(
    line: bytes,
    *,
    parse_float: Callable[[str], Any] = Number,
    parse_int: Callable[[str], Any] = _integer,
) -> Any:
    """Return the JSON value of a line; numbers come out as `int` or as `Number`, or as the two hooks make them.

    Raises InvalidEvent (`not_json`).
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent("not_json", f"not UTF-8 at byte {error.start + 1}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        raise InvalidEvent("not_json", f"nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(text, parse_float=parse_float, parse_int=parse_int, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise InvalidEvent("not_json", f"{error.msg} at character {error.pos + 1}") from None
    if "\\u" in text:
        _check_escapes(text)
    return value


def plain(value: Any) -> Any:
    """Return a parsed value with every `Number` made approximate, in place where it is a list or an object."""
    if isinstance(value, Number):
        return value.approximate()
    open_values = [value]  # a list of our own: nesting must not use up Python's stack
    while open_values:
        holder = open_values.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, item in pairs:
            if isinstance(item, Number):
                holder[key] = item.approximate()
            elif isinstance(item, (dict, list)):
                open_values.append(item)
    return value
