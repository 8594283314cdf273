"""The kinds of anchor: what a rule's time counts from, as data, and how `since` and `key` name them."""

from typing import Any, Literal

import msgspec

from schemas.contract import CUSTOM_PREFIX, DATA_MODELS, LINK_TYPES

ORDER_PAID = "order.paid"
STAGES = ("new", "growing", "mature", "declining", "lost")


class CartChanged(msgspec.Struct, frozen=True):
    """The last change of a cart that is not empty; one instance per cart."""


class DayFirst(msgspec.Struct, frozen=True):
    """The first `product.viewed` of a local day; one instance per day."""


class Purchase(msgspec.Struct, frozen=True):
    """The newest paid order with a SKU; one instance per SKU."""


class PaidOrder(msgspec.Struct, frozen=True):
    """The first or the last paid order."""

    which: Literal["first", "last"]


class TicketResolved(msgspec.Struct, frozen=True):
    """The last `ticket.resolved` of a ticket; one instance per ticket."""


class LowScore(msgspec.Struct, frozen=True):
    """A low score of a chat, ticket or survey; one instance per event."""


class Occurrence(msgspec.Struct, frozen=True):
    """The first or the last event of a type."""

    which: Literal["first", "last"]
    event: str


class Calendar(msgspec.Struct, frozen=True):
    """A date from a trait, moved by months and days: every year, or once, from the year the trait was stated."""

    trait: str
    months: int
    days: int
    once: bool


class StageEntered(msgspec.Struct, frozen=True):
    """The beginning of a stage of the lifecycle, as it follows from the paid orders and the settings."""

    stage: str


Since = CartChanged | DayFirst | Purchase | PaidOrder | TicketResolved | LowScore | Occurrence | Calendar | StageEntered

_KEYED: dict[tuple[str, str], Since] = {
    ("cart.changed", "cart_id"): CartChanged(),
    ("product.viewed", "day"): DayFirst(),
    (ORDER_PAID, "sku"): Purchase(),
    ("ticket.resolved", "ticket_id"): TicketResolved(),
    ("score.low", "event"): LowScore(),
}
_KEYED_EVENTS = frozenset(event for event, _ in _KEYED)
_NO_KEY_NEEDED = {"cart.changed": "cart_id", "score.low": "event"}
_NOT_YET = {
    "count": "counting events within a window",
    "within": "counting events within a window",
    "left": "leaving a stage, tag or segment",
    "business_hours": "a clock in business hours",
    "ticket": "a ticket's clock in business hours",
    "journey": "a step of a journey",
    "step": "a step of a journey",
}
_FORMS = "an event type, {last: EVENT}, {first: EVENT}, {calendar: {trait: NAME}} or {entered: lifecycle.STAGE}"


def event_type(name: Any) -> str:
    """Return a type of event that a rule can wait for. Raises ValueError."""
    if not isinstance(name, str):
        raise ValueError(f"must be an event type, not {name!r}")
    if name in LINK_TYPES:
        raise ValueError(f"{name} is a steward's command, which is in no profile")
    if name in DATA_MODELS or (name.startswith(CUSTOM_PREFIX) and len(name) > len(CUSTOM_PREFIX)):
        return name
    raise ValueError(f"unknown event type {name!r}")


def parse_since(value: Any, key: str | None) -> Since:
    """Return the anchor that `since` and `key` name. Raises ValueError."""
    if isinstance(value, str):
        return _event(value, "last", key)
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"must be {_FORMS}")
    [(form, content)] = value.items()
    if form == "last":
        return _event(content, "last", key)
    if form == "first":
        return _event(content, "first", key)
    if form in _NOT_YET:
        raise ValueError(f"{_NOT_YET[form]} is not supported; supported are {_FORMS}")
    if key is not None:
        raise ValueError(f"{form} takes no key")
    if form == "calendar":
        return _calendar(content)
    if form == "entered":
        return _stage(content)
    raise ValueError(f"unknown form {form!r}; it must be {_FORMS}")


def _event(name: Any, which: Literal["first", "last"], key: str | None) -> Since:
    if isinstance(name, str):
        if name not in _KEYED_EVENTS:
            event_type(name)
        key = key or _NO_KEY_NEEDED.get(name)
        if key is not None:
            found = _KEYED.get((name, key))
            if found is None:
                known = [each for event, each in _KEYED if event == name]
                raise ValueError(f"{name} can have {'key: ' + known[0] if known else 'no key'}, not key: {key}")
            if (which == "first") is not isinstance(found, DayFirst):
                raise ValueError(f"of {name} per {key} only the {'last' if which == 'first' else 'first'} is supported")
            return found
    if event_type(name) == ORDER_PAID:
        return PaidOrder(which)
    return Occurrence(which, name)


def _calendar(content: Any) -> Calendar:
    names = {"trait", "months", "days", "once"}
    if not isinstance(content, dict) or not set(content) <= names or not isinstance(content.get("trait"), str):
        raise ValueError("calendar must be {trait: NAME}, with months, days and once as they are needed")
    once = content.get("once", False)
    if not isinstance(once, bool):
        raise ValueError("calendar.once must be true or false")
    offsets = []
    for name, most in (("months", 1200 if once else 11), ("days", 36600 if once else 365)):
        offset = content.get(name, 0)
        if not isinstance(offset, int) or isinstance(offset, bool) or abs(offset) > most:
            raise ValueError(f"calendar.{name} must be a whole number from -{most} to {most}")
        offsets.append(offset)
    return Calendar(content["trait"], offsets[0], offsets[1], once)


def _stage(content: Any) -> StageEntered:
    stage = content.removeprefix("lifecycle.") if isinstance(content, str) else ""
    if content != f"lifecycle.{stage}" or stage not in STAGES:
        stages = ", ".join(f"lifecycle.{each}" for each in STAGES)
        raise ValueError(f"entering {content!r} is not supported; supported are {stages}")
    return StageEntered(stage)
