"""`fold(part, event)`: one event into the part of its first identifier.

The order of events does not matter and an event folded twice changes nothing. Both hold for events that are at most
the horizon older than the newest of the part; an older one is folded all the same (replay, which sorts, has no such
limit), but could no longer be told from its own repetition. Time-bounded lists are pruned only when the newest event
enters another UTC day, so that pruning costs nothing per event.
"""

from collections.abc import Callable
from typing import Any

from profiles.fold_browse import HANDLERS as BROWSE
from profiles.fold_cart import HANDLERS as CART
from profiles.fold_customer import HANDLERS as CUSTOMER
from profiles.fold_order import HANDLERS as ORDER
from profiles.fold_service import HANDLERS as SERVICE
from profiles.part import Part, Tally
from schemas.event import Event
from schemas.settings import Settings

DAY_MS = 86_400_000

SCORE_DAYS = 4
"""Days beyond the horizon for which low scores stay readable: the longest the core's rules look back at them."""

FOLDED = 1
DUPLICATE = 0
CONFLICT = -1
TOO_LATE = -2

Handler = Callable[[Part, int, str, Any], None]

_HANDLERS: dict[str, Handler] = {**ORDER, **BROWSE, **CART, **SERVICE, **CUSTOMER}


class Folder:
    """Folds events into parts; made once per process from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._horizon_ms = settings.horizon_days * DAY_MS
        self._list_ms = self._horizon_ms + SCORE_DAYS * DAY_MS

    def too_late(self, part: Part, time_ms: int) -> bool:
        """Say whether an event of that time can no longer be told from a duplicate in this part."""
        return time_ms < part.last_ms - self._horizon_ms

    def fold(self, part: Part, event: Event) -> bool:
        """Fold the event into the part, in place. Returns False for a duplicate, which changes nothing."""
        event_id = event.id
        recent = part.recent
        if event_id in recent:
            return False
        at = event.time_ms
        last = part.last_ms
        if at > last:
            part.last_ms = at
            if at // DAY_MS != last // DAY_MS:
                self._prune(part, at)
                recent = part.recent
        if at < part.first_ms or part.events == 0:
            part.first_ms = at
        recent[event_id] = at
        part.events += 1
        kind = event.type
        tally = part.tallies.get(kind)
        if tally is None:
            part.tallies[kind] = Tally(1, at, event_id)
        else:
            _count(tally, at, event_id)
        idents = event.idents
        if len(idents) > 1:
            sightings = part.sightings
            for ident in idents[1:]:
                seen = sightings.get(ident)
                if seen is None:
                    sightings[ident] = [1, at, at]
                else:
                    seen[0] += 1
                    if at < seen[1]:
                        seen[1] = at
                    if at > seen[2]:
                        seen[2] = at
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(part, at, event_id, event.data)
        return True

    def _prune(self, part: Part, now: int) -> None:
        """Drop what is kept by time and too old for any event within the horizon of `now`, the newest event."""
        if part.recent:
            cut = now - self._horizon_ms
            part.recent = {event_id: at for event_id, at in part.recent.items() if at >= cut}
        cut = now - self._list_ms
        if part.scores is not None:
            part.scores = [score for score in part.scores if score[0] >= cut] or None


def _count(tally: Tally, at: int, event_id: str) -> None:
    """Count a further event of a type."""
    tally.count += 1
    if tally.first_ms < 0:  # until now the first was also the last
        tally.first_ms = tally.last_ms
        tally.first_id = tally.last_id
    if at > tally.last_ms or (at == tally.last_ms and event_id > tally.last_id):
        tally.last_ms = at
        tally.last_id = event_id
    elif at < tally.first_ms or (at == tally.first_ms and event_id < tally.first_id):
        tally.first_ms = at
        tally.first_id = event_id
