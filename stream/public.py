"""What the world is told: profiles, changes of tags, firings, changes of identity, tickets about products.

Every value is JSON by a model of `schemas.messages` or `schemas.profile`, but built without it: this is done once for
each person that a batch changes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from identity.changes import Change
from profiles.derive import TIMES, deriver
from profiles.derived import COLUMNS, Derived
from profiles.facts import Facts
from profiles.fold_browse import QUARTER_MS
from profiles.habits import mean_gap_ms
from profiles.tags import CHURN_GAPS, RULES, Reason
from profiles.value import YEAR_MS
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.person import Person
from triggers.instances import NEVER

_SHOWN = COLUMNS[:-1]
"""The derived fields that a public profile has: all but the reasons as text, which are in its tags."""

if COLUMNS[-1] != "tag_reasons":
    raise AssertionError("the last field of a derived profile is no longer `tag_reasons`")

_Page = msgspec.defstruct(
    "_Page", [("one_id", str | None), ("identifiers", list[str]), *((name, Any) for name in _SHOWN)], gc=False
)
_TIME_PLACES = tuple(place for place, name in enumerate(_SHOWN) if name in TIMES)
_TAGS = _SHOWN.index("tags")
_CARTS = _SHOWN.index("carts")

_ORDERS = ("order.paid", "order.placed", "order.cancelled", "order.refunded")
_EVIDENCE = {
    "rfm": _ORDERS,
    "lifecycle": _ORDERS,
    "tier": _ORDERS,
    "nps": ("survey.answered",),
    "cart": ("cart.added", "cart.removed", "cart.cleared", "order.placed", "order.paid"),
    "ticket": ("ticket.opened", "ticket.resolved", "ticket.reopened"),
    "churn_risk": _ORDERS,
    "coupon_lover": _ORDERS,
    "refund_prone": _ORDERS,
}
"""The types of events that can give or take the tags of a rule."""

_VERSIONS = {rule.name: rule.version for rule in RULES}
_encode = msgspec.json.Encoder().encode


class _Tag(msgspec.Struct, gc=False):
    name: str
    rule: str
    version: int
    facts: dict[str, Any]
    since: datetime | None


class _SegmentChange(msgspec.Struct, gc=False):
    one_id: str
    segment: str
    change: str
    at_ms: int
    rule: str
    rule_version: int
    evidence: list[str]


class Rendered(msgspec.Struct, gc=False):
    """A public profile.

    `value` is its JSON, `tags` are the names of its tags, `changes` the messages for `segments.changes` since those
    last published; at `refresh_ms` (NEVER: none) it changes though nothing happens.
    """

    value: bytes
    tags: tuple[str, ...]
    refresh_ms: int
    changes: list[bytes]


class Public:
    """Renders people under one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._derive = deriver(settings).derive

    def render(self, person: Person, now_ms: int) -> Rendered:
        """Return the person's profile at an instant, and what has changed since `person.tags` were published."""
        facts = person.facts(self._settings)
        row, reasons = self._derive(facts, now_ms, None)
        tags = tuple(row.tags)
        changes = [] if tags == person.tags else _changes(person.one_id, person.tags or (), tags, facts, now_ms)
        return Rendered(_page(person.one_id, facts, row, reasons), tags, _refresh_ms(facts, row, now_ms), changes)

    def profile(self, person: Person, now_ms: int) -> bytes:
        """Return the person's profile at an instant as JSON."""
        facts = person.facts(self._settings)
        return _page(person.one_id, facts, *self._derive(facts, now_ms, None))


def _page(one_id: str, facts: Facts, row: Derived, reasons: list[Reason]) -> bytes:
    values: list[Any] = list(msgspec.structs.astuple(row))
    values.pop()
    for place in _TIME_PLACES:
        at_ms = values[place]
        if at_ms is not None:
            values[place] = _instant(at_ms)
    values[_TAGS] = [
        _Tag(
            reason.name,
            reason.rule,
            reason.version,
            reason.facts,
            None if reason.since_ms is None else _instant(reason.since_ms),
        )
        for reason in reasons
    ]
    if row.carts:
        values[_CARTS] = [{**cart, "changed_at": _instant(cart["changed_at"])} for cart in row.carts]
    return _encode(_Page(one_id, facts.identifiers(), *values))


@lru_cache(maxsize=1 << 16)  # most instants of a profile stand in it twice, and stay from one version to the next
def _instant(at_ms: int) -> datetime:
    # A double holds milliseconds to a quarter of a microsecond for as long as events are accepted.
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _refresh_ms(facts: Facts, row: Derived, now_ms: int) -> int:
    """Return when the profile next changes by itself: stage, tier, its spend, RFM, a tag of the clock, a streak.

    The lifetime value, which a buyer of more than a year loses slowly and all the time, is as of the last message.
    """
    soonest = NEVER
    if row.next_change_at is not None and row.next_change_at > now_ms:
        soonest = row.next_change_at
    if row.last_order_at is not None:
        if row.last_order_at > now_ms:  # an event may be ahead of the clock
            soonest = min(soonest, row.last_order_at)
        if row.tier_spend_minor:
            for order in facts.orders().since(now_ms - YEAR_MS):
                if order.currency == facts.settings.currency and order.refunded_minor < order.amount_minor:
                    soonest = min(soonest, order.time_ms + YEAR_MS)
                    break
        if row.orders > 1:
            gap_ms = mean_gap_ms(facts.orders().list) or 0
            risk_ms = row.last_order_at + CHURN_GAPS * gap_ms
            if gap_ms > 0 and now_ms < risk_ms < soonest:
                soonest = risk_ms
    if row.streak_days:
        zone = facts.zone
        last = datetime.fromtimestamp(facts.checkins()[-1] * QUARTER_MS / 1000, zone)
        after = datetime(last.year, last.month, last.day, tzinfo=zone) + timedelta(days=2)
        ends_ms = int(after.timestamp() * 1000)
        if now_ms < ends_ms < soonest:
            soonest = ends_ms
    return soonest


def _changes(one_id: str, before: Iterable[str], after: Iterable[str], facts: Facts | None, now_ms: int) -> list[bytes]:
    """Return a message for each tag left and entered; the evidence is the newest event that the tag's rule reads."""
    had, has = set(before), set(after)
    found = []
    for change, names in (("left", [name for name in before if name not in has]), ("entered", after)):
        for name in names:
            if change == "entered" and name in had:
                continue
            rule = name.partition(":")[0]
            newest = [] if facts is None else [found for found in map(facts.last, _EVIDENCE.get(rule, ())) if found]
            evidence = [max(newest)[1]] if newest else []
            found.append(_encode(_SegmentChange(one_id, name, change, now_ms, rule, _VERSIONS.get(rule, 0), evidence)))
    return found


def left_segments(person: Person, now_ms: int) -> list[bytes]:
    """Return the messages that a person who is no more has left every tag."""
    return _changes(person.one_id, person.tags or (), (), None, now_ms)


def firing_message(firing: Firing) -> bytes:
    """Return the message of a decided trigger, a `TriggerMessage`."""
    return _encode(firing)


def identity_change(change: Change) -> bytes:
    """Return the message of a change of people, an `IdentityChange`."""
    return _encode(
        {
            "change": change.kind,
            "one_id": change.one_id,
            "other_one_id": change.other_one_id,
            "reason": change.reason,
            "at_ms": change.at_ms,
            "evidence_event_id": change.event_id,
        }
    )


def ticket_message(person: Person, event: Event, settings: Settings) -> tuple[str, bytes] | None:
    """Return key and value for `quality.tickets` of a `ticket.opened`, None if it names no product."""
    sku = event.data.sku
    if not sku:
        return None
    orders = [
        order.order_id for order in person.facts(settings).orders().list if any(item.sku == sku for item in order.items)
    ]
    value = {
        "one_id": person.one_id,
        "ticket_id": event.data.ticket_id,
        "sku": sku,
        "at_ms": event.time_ms,
        "bought": bool(orders),
        "order_ids": orders,
    }
    return sku, _encode(value)
