"""The values of an expression and what the operators do with them.

A value is None (null), a bool, an int, a Decimal, a str or a list. Null propagates. A text that meets a number is read
as a number when it is one, and a text that meets a boolean as `true` or `false`; two texts compare as texts, by code
points. Booleans are never numbers. `+ - *` are exact, `/` is exact where 50 digits suffice; what has no such result
(a division by zero, a text that is no number, more than 200 digits) is null.
"""

import re
from collections.abc import Callable
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Any

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_DIGITS = 200
_BITS = 664  # of an integer of 200 digits
_EXACT = Context(prec=_DIGITS, Emin=-999, Emax=999, traps=[InvalidOperation, Inexact, Overflow])
_DIVIDE = Context(
    prec=50, rounding=ROUND_HALF_UP, Emin=-999, Emax=999, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_HALF_UP = Context(prec=_DIGITS, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow])

Number = int | Decimal


def number(value: Any) -> Number | None:
    """Read a value as an exact number, or return None when it is not one. A float counts by its shortest spelling."""
    kind = type(value)
    if kind is int:
        return value if value.bit_length() <= _BITS else None
    if kind is Decimal:
        return value if value.is_finite() and abs(value.adjusted()) < 1000 else None
    if kind is float:
        value = repr(value)
    elif kind is not str:
        return None
    text = value.strip()
    if len(text) > _DIGITS or NUMBER.fullmatch(text) is None:
        return None
    return int(text) if text.lstrip("+-").isdigit() else Decimal(text)


def text(value: Any) -> str | None:
    """Spell a value as text, or return None for null and lists. Numbers are spelled plainly, without an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    n = number(value)
    return None if n is None else format(n, "f") if isinstance(n, Decimal) else str(n)


def truth(value: Any) -> bool | None:
    """Read a value as a boolean: a bool, or the text true or false in any case. Anything else is null."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


def _pair(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Bring two values that are not null to one type, or return None when they have none in common."""
    if isinstance(left, bool) or isinstance(right, bool):
        p, q = truth(left), truth(right)
        return None if p is None or q is None else (p, q)
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    a, b = number(left), number(right)
    return None if a is None or b is None else (a, b)


def equal(left: Any, right: Any) -> bool | None:
    """`left = right`: null if either is null, False if they have no type in common."""
    if left is None or right is None:
        return None
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(equal(a, b) is True for a, b in zip(left, right, strict=True))
    pair = _pair(left, right)
    return False if pair is None else bool(pair[0] == pair[1])


def unequal(left: Any, right: Any) -> bool | None:
    """`left != right`."""
    same = equal(left, right)
    return None if same is None else not same


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    """Make `<`, `<=`, `>` or `>=` of a comparison: null if either is null or they have no type in common."""

    def apply(left: Any, right: Any) -> bool | None:
        if left is None or right is None:
            return None
        pair = _pair(left, right)
        return None if pair is None else compare(*pair)

    return apply


def among(value: Any, options: Any) -> bool | None:
    """`value in options`: equal to one of them; null if either side is null or nothing but a null could be equal."""
    if value is None or not isinstance(options, list | tuple):
        return None
    found: bool | None = False
    for option in options:
        same = equal(value, option)
        if same:
            return True
        if same is None:
            found = None
    return found


def _exact(plain: Callable[[Any, Any], Any], decimal: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Number | None]:
    def apply(left: Any, right: Any) -> Number | None:
        a, b = number(left), number(right)
        if a is None or b is None:
            return None
        try:
            return number(plain(a, b) if isinstance(a, int) and isinstance(b, int) else decimal(a, b))
        except DecimalException:
            return None

    return apply


add = _exact(lambda a, b: a + b, _EXACT.add)
subtract = _exact(lambda a, b: a - b, _EXACT.subtract)
multiply = _exact(lambda a, b: a * b, _EXACT.multiply)


def divide(left: Any, right: Any) -> Number | None:
    """`left / right`, exact where 50 digits suffice; null when the divisor is zero."""
    a, b = number(left), number(right)
    if a is None or b is None or not b:
        return None
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    try:
        return number(_DIVIDE.divide(a, b))
    except DecimalException:
        return None


def rounded(value: Any, places: Any) -> Number | None:
    """`round(value, places)`: half away from zero, as money is rounded; places from 0 to 20."""
    n, digits = number(value), number(places)
    if n is None or not isinstance(digits, int) or not 0 <= digits <= 20:
        return None
    try:
        return n if isinstance(n, int) else n.quantize(Decimal(1).scaleb(-digits), context=_HALF_UP)
    except DecimalException:
        return None


def contains(value: Any, part: Any) -> bool | None:
    """`contains(value, part)`: a text within a text, or an element of a list."""
    if isinstance(value, list | tuple):
        return among(part, value)
    whole, piece = text(value), text(part)
    return None if whole is None or piece is None else piece in whole


def length(value: Any) -> int | None:
    """`length(value)`: characters of a text or elements of a list."""
    if isinstance(value, list | tuple):
        return len(value)
    spelled = text(value)
    return None if spelled is None else len(spelled)


def absolute(value: Any) -> Number | None:
    """`abs(value)`."""
    n = number(value)
    return None if n is None else n.copy_abs() if isinstance(n, Decimal) else abs(n)


def lower(value: Any) -> str | None:
    """`lower(value)`."""
    spelled = text(value)
    return None if spelled is None else spelled.lower()


def upper(value: Any) -> str | None:
    """`upper(value)`."""
    spelled = text(value)
    return None if spelled is None else spelled.upper()


def starts(value: Any, part: Any) -> bool | None:
    """`startswith(value, part)`."""
    whole, piece = text(value), text(part)
    return None if whole is None or piece is None else whole.startswith(piece)


def ends(value: Any, part: Any) -> bool | None:
    """`endswith(value, part)`."""
    whole, piece = text(value), text(part)
    return None if whole is None or piece is None else whole.endswith(piece)


def coalesce(*values: Any) -> Any:
    """`coalesce(a, b, ...)`: the first that is not null."""
    return next((value for value in values if value is not None), None)
