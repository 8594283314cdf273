"""From a column's value to what a field of an event wants: whole numbers, exact amounts, instants."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from schemas.expr_values import number, text, truth
from schemas.fields import Model
from schemas.times import zone

Target = Literal["text", "int", "number", "money", "bool", "date", "time", "any"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CACHE_TIMES = 10_000
_FARTHEST_MS = 10**14  # beyond any date that Python or an event knows
_WIDEST = 1 << 63  # beyond, the JSON writer wants a Decimal
_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class BadValueError(ValueError):
    """A value is not what its field wants; the text says what it is and what is wanted."""


def shown(value: Any) -> str:
    """Return a value as it stands in a message: quoted and not too long."""
    spelled = value if isinstance(value, str) else str(value)
    return repr(spelled if len(spelled) <= 60 else spelled[:57] + "...")


def to_text(value: Any) -> str:
    """Return the text of a value."""
    spelled = text(value)
    if spelled is None:
        raise BadValueError(f"{shown(value)} is no single value")
    return spelled


def to_number(value: Any) -> int | Decimal:
    """Return the exact number."""
    found = number(value)
    if found is None:
        raise BadValueError(f"{shown(value)} is not a number")
    return found if isinstance(found, Decimal) or -_WIDEST < found < _WIDEST else Decimal(found)


def to_int(value: Any) -> int | Decimal:
    """Return the whole number; "2.0" is 2. One beyond 64 bits comes as a Decimal."""
    found = to_number(value)
    if isinstance(found, Decimal):
        if found.adjusted() > 30 or found != found.to_integral_value():
            raise BadValueError(f"{shown(value)} is not a whole number")
        whole = int(found)
        return whole if -_WIDEST < whole < _WIDEST else Decimal(whole)
    return found


def to_money(value: Any) -> str:
    """Return an amount as exact text: of a text what was written, so that its decimals can be judged."""
    to_number(value)
    return value.strip() if isinstance(value, str) else to_text(value)


def to_bool(value: Any) -> bool:
    """Return the boolean: true, yes, 1 or false, no, 0."""
    found = truth(value)
    if found is None:
        found = _YES.get(str(value).strip().lower())
    if found is None:
        raise BadValueError(f"{shown(value)} is neither true nor false")
    return found


def to_any(value: Any) -> Any:
    """Return a value for a field that takes any: texts stay texts."""
    return to_number(value) if isinstance(value, int) and not isinstance(value, bool) else value


CONVERT: dict[Target, Callable[[Any], Any]] = {
    "text": to_text,
    "int": to_int,
    "number": to_number,
    "money": to_money,
    "bool": to_bool,
    "any": to_any,
}


def instants(pattern: str | None, timezone: str) -> Callable[[Any], datetime]:
    """Return what reads an instant: ISO 8601 without a pattern, else strptime's, `epoch_ms` or `epoch_s`.

    An integer without a pattern is epoch milliseconds, as in an event. A text without an offset is local to
    `timezone`; of two instants with one local time the earlier is meant.
    """
    local = zone(timezone)
    known: dict[str, datetime] = {}

    def read(value: Any) -> datetime:
        if pattern is None and isinstance(value, int) and not isinstance(value, bool) and abs(value) < _FARTHEST_MS:
            return _EPOCH + value * _MILLISECOND
        spelled = to_text(value).strip()
        found = known.get(spelled)
        if found is None:
            try:
                found = _instant(spelled, pattern)
                found = (found.replace(tzinfo=local) if found.tzinfo is None else found).astimezone(UTC)
            except (ValueError, OverflowError):
                wanted = "an ISO 8601 time; say its format" if pattern is None else f"of the format {pattern}"
                raise BadValueError(f"{shown(value)} is not {wanted}") from None
            if len(known) >= _CACHE_TIMES:
                known.clear()
            known[spelled] = found
        return found

    return read


def _instant(spelled: str, pattern: str | None) -> datetime:
    if pattern is None:
        return datetime.fromisoformat(spelled)
    if pattern not in ("epoch_ms", "epoch_s"):
        return datetime.strptime(spelled, pattern)
    count = to_number(spelled)
    ms: int | Decimal = count * 1000 if pattern == "epoch_s" else count
    if not -_FARTHEST_MS < ms < _FARTHEST_MS:
        raise OverflowError
    return _EPOCH + int(ms) * _MILLISECOND


def milliseconds(instant: datetime) -> int:
    """Return epoch milliseconds, further digits cut."""
    return (instant - _EPOCH) // _MILLISECOND


def target_of(annotation: Any) -> Target | type[Model] | list[Any]:
    """Return what a field of the contract wants: a target, the model of an object, or a list of one of them."""
    if get_origin(annotation) is Annotated:
        return target_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "text"
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return target_of(kinds[0]) if len(kinds) == 1 else "text" if str in kinds else "any"
    if get_origin(annotation) is list:
        return [target_of(get_args(annotation)[0])]
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    simple: dict[Any, Target] = {str: "text", int: "int", float: "number", Decimal: "money", bool: "bool"}
    return simple.get(annotation, "any")
