"""The merge: the facts of the person who holds a set of parts.

`Facts` works out an aspect when it is first asked for and keeps it; after a fold, `folded` forgets or updates only what
the event can have touched. With one part nothing is copied. The facts are a function of the set of parts, whatever
their order and however the events were spread over them.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from profiles import consent, lookup, service
from profiles.carts import Cart, join_carts
from profiles.fold import DAY_MS, SCORE_DAYS
from profiles.fold_browse import QUARTER_MS, VIEWED, VIEWS, newest_views
from profiles.orders import OrderBook
from profiles.part import Key, Part
from profiles.service import Score, Service, Ticket
from schemas.event import Event
from schemas.settings import Settings
from schemas.times import zone

Anchor = tuple[int, str, str]
"""(time in ms, event id, part key)"""


@lru_cache(maxsize=1024)
def _zone_or_none(name: str) -> ZoneInfo | None:
    try:
        return zone(name)
    except ValueError:
        return None


class Facts:
    """The facts of one person. Times are epoch ms, money is in minor units; nothing known is None, 0 or empty."""

    __slots__ = ("_book", "_carts", "_tickets", "_words", "parts", "settings")

    def __init__(self, parts: Sequence[Part], settings: Settings) -> None:
        self.parts = parts
        self.settings = settings
        self._book: OrderBook | None = None
        self._carts: dict[str, Cart] | None = None
        self._tickets: dict[str, Ticket] | None = None
        self._words: consent.Words | None = None

    def folded(self, event: Event) -> None:
        """Take in that the event has just been folded into one of the parts."""
        refresh = _REFRESH.get(event.type)
        if refresh is not None:
            refresh(self, event)

    # what is counted over all events

    @property
    def events(self) -> int:
        """The number of events."""
        return sum([part.events for part in self.parts])

    @property
    def first_seen(self) -> int | None:
        """The time of the first event."""
        return min([part.first_ms for part in self.parts if part.events], default=None)

    @property
    def last_seen(self) -> int | None:
        """The time of the last event."""
        return max([part.last_ms for part in self.parts if part.events], default=None)

    def count(self, event_type: str) -> int:
        """Return the number of events of a type."""
        total = 0
        for part in self.parts:
            tally = part.tallies.get(event_type)
            if tally is not None:
                total += tally.count
        return total

    def first(self, event_type: str) -> Anchor | None:
        """Return the first event of a type by (time, id)."""
        found: Anchor | None = None
        for part in self.parts:
            tally = part.tallies.get(event_type)
            if tally is not None:
                if tally.first_ms < 0:
                    anchor = (tally.last_ms, tally.last_id, part.key)
                else:
                    anchor = (tally.first_ms, tally.first_id, part.key)
                if found is None or anchor < found:
                    found = anchor
        return found

    def last(self, event_type: str) -> Anchor | None:
        """Return the last event of a type by (time, id)."""
        found: Anchor | None = None
        for part in self.parts:
            tally = part.tallies.get(event_type)
            if tally is not None:
                anchor = (tally.last_ms, tally.last_id, part.key)
                if found is None or anchor > found:
                    found = anchor
        return found

    def identifiers(self) -> list[str]:
        """Return every identifier that the events carried, `kind:value`, in alphabetical order."""
        found = {part.key for part in self.parts}
        for part in self.parts:
            found.update(part.sightings)
        return sorted(found)

    # traits and time zone

    def trait(self, name: str) -> tuple[Any, int, str, str] | None:
        """Return the latest statement of a trait as (value, time, event id, part key)."""
        found: tuple[Any, int, str, str] | None = None
        for part in self.parts:
            if part.traits is not None:
                stated = part.traits.get(name)
                if stated is not None and (found is None or stated[:2] > found[1:3]):
                    found = (stated[2], stated[0], stated[1], part.key)
        return found

    @property
    def timezone(self) -> str | None:
        """The trait `timezone` if it names an IANA time zone, else None."""
        stated = self.trait("timezone")
        if stated is None or not isinstance(stated[0], str) or _zone_or_none(stated[0]) is None:
            return None
        return stated[0]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the person: the trait's, else the setting's."""
        return zone(self.timezone or self.settings.timezone)

    # orders and carts

    def orders(self) -> OrderBook:
        """Return the counted orders."""
        book = self._book
        if book is None:
            book = self._book = OrderBook(self.parts)
        return book

    def last_order(self) -> Key | None:
        """Return (time, id) of the newest event that is an order: `order.placed`, or a whole `order.paid`."""
        found: Key | None = None
        for part in self.parts:
            if part.order_event is not None and (found is None or part.order_event > found):
                found = part.order_event
        return found

    def carts(self) -> dict[str, Cart]:
        """Return the carts that are not empty by id; '' is the cart without one."""
        carts = self._carts
        if carts is None:
            carts = self._carts = join_carts(self.parts)
        return carts

    # browsing and interest

    def views(self) -> list[Anchor]:
        """Return the product views, ascending: the first of each quarter hour and part, of whole local days.

        A part that has as many as it keeps may have dropped some of its oldest day, which is then left out.
        """
        found: list[Anchor] = []
        cut = 0
        for part in self.parts:
            views = part.views
            if views is not None:
                if len(views) >= VIEWS:
                    views = newest_views(views)
                    cut = max(cut, self._day_after(min(views) * QUARTER_MS))
                found += [(at, event_id, part.key) for at, event_id in views.values()]
        found.sort()
        return [view for view in found if view[0] >= cut] if cut else found

    def _day_after(self, at_ms: int) -> int:
        """Return the beginning of the local day after the one of an instant."""
        day = datetime.fromtimestamp(at_ms / 1000, self.zone).date() + timedelta(days=1)
        return int(datetime.combine(day, time.min, self.zone).timestamp() * 1000)

    def _score_cut(self) -> int:
        return (self.last_seen or 0) - (self.settings.horizon_days + SCORE_DAYS) * DAY_MS

    def last_viewed(self) -> list[str]:
        """Return the SKUs viewed last, newest first, at most 20."""
        viewed = join_latest([part.viewed for part in self.parts])
        return sorted(viewed, key=viewed.__getitem__, reverse=True)[:VIEWED]

    def category_weights(self) -> dict[str, int]:
        """Return how much the person has to do with each category."""
        return join_sums([self.orders().category_weights(), *[part.categories for part in self.parts]])

    def channel_weights(self) -> dict[str, int]:
        """Return how much the person uses each channel."""
        return join_sums([self.orders().channel_weights(), *[part.channels for part in self.parts]])

    # service

    def tickets(self) -> dict[str, Ticket]:
        """Return the tickets by id."""
        tickets = self._tickets
        if tickets is None:
            tickets = self._tickets = service.join_tickets(self.parts)
        return tickets

    def scores(self) -> list[Score]:
        """Return the low scores, by (time, id), of the horizon and 4 days before the person's last event."""
        if not any(part.scores for part in self.parts):
            return []
        return service.join_scores(self.parts, self._score_cut())

    @property
    def was_served(self) -> bool:
        """Whether there is any ticket or conversation."""
        return any(part.tickets or part.talks for part in self.parts)

    def service(self) -> Service:
        """Return how the person was served."""
        return service.serve(self.parts, self.tickets())

    def survey(self, name: str) -> tuple[int, str, float, float] | None:
        """Return the latest answer of a survey as (time, event id, score, scale)."""
        found: tuple[int, str, float, float] | None = None
        for part in self.parts:
            if part.surveys is not None:
                answer = part.surveys.get(name)
                if answer is not None and (found is None or answer[:2] > found[:2]):
                    found = answer
        return found

    # consent

    def words(self) -> consent.Words:
        """Return the latest word of consent by purpose and channel ('' for all); not to be changed."""
        words = self._words
        if words is None:
            words = self._words = consent.join_words(self.parts)
        return words

    def consent(self, purpose: str, channel: str | None = None) -> bool:
        """Say whether the purpose may be served over the channel; for None: over any."""
        return consent.allows(self.words(), purpose, channel)

    def channels(self, purpose: str) -> list[str]:
        """Return the channels named in words of consent over which the purpose may be served."""
        return consent.channels(self.words(), purpose)

    # membership

    @property
    def points(self) -> int:
        """The balance of points."""
        return sum([part.points for part in self.parts])

    def checkins(self) -> list[int]:
        """Return the quarter hours (since the epoch) of check-ins, ascending."""
        return sorted({quarter for part in self.parts for quarter in part.checkins or ()})

    def lookup(self, name: str, now_ms: int | None = None) -> Any:
        """Return what a name of an expression stands for, None if unknown (see `profiles.lookup`)."""
        return lookup.lookup(self, name, now_ms)


def merge(parts: Sequence[Part], settings: Settings) -> Facts:
    """Return the facts of the person who holds the parts."""
    return Facts(parts, settings)


def join_latest(maps: Sequence[dict[str, Key] | None]) -> dict[str, Key]:
    """Return the latest key of each name; of a single map the map itself, not to be changed."""
    joined: dict[str, Key] = {}
    for latest in maps:
        if latest:
            if not joined:
                joined = latest if len(maps) == 1 else dict(latest)
                continue
            for name, key in latest.items():
                if name not in joined or key > joined[name]:
                    joined[name] = key
    return joined


def join_sums(maps: Iterable[dict[str, int] | None]) -> dict[str, int]:
    """Return the sum for each name."""
    joined: dict[str, int] = {}
    for sums in maps:
        if sums:
            if not joined:
                joined = dict(sums)
                continue
            for name, number in sums.items():
                joined[name] = joined.get(name, 0) + number
    return joined


def _order_changed(facts: Facts, event: Event) -> None:
    if facts._book is not None:
        facts._book.update(event.data.order_id)


def _ordered(facts: Facts, event: Event) -> None:
    facts._carts = None
    _order_changed(facts, event)


def _cart_changed(facts: Facts, event: Event) -> None:
    facts._carts = None


def _ticket_changed(facts: Facts, event: Event) -> None:
    facts._tickets = None


def _consent_changed(facts: Facts, event: Event) -> None:
    facts._words = None


_REFRESH: dict[str, Callable[[Facts, Event], None]] = {
    "order.placed": _ordered,
    "order.paid": _ordered,
    "order.cancelled": _order_changed,
    "order.refunded": _order_changed,
    "order.delivered": _order_changed,
    "cart.added": _cart_changed,
    "cart.removed": _cart_changed,
    "cart.cleared": _cart_changed,
    "ticket.opened": _ticket_changed,
    "ticket.replied": _ticket_changed,
    "ticket.resolved": _ticket_changed,
    "ticket.reopened": _ticket_changed,
    "ticket.rated": _ticket_changed,
    "customer.consented": _consent_changed,
}
