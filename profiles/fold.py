"""`fold(part, event)`: one event into the part of its first identifier.

The order of events does not matter and an event folded twice changes nothing. Both hold for events that are at most
the horizon older than the newest of the part. Replay, which sorts, folds an older one all the same, though it could no
longer be told from its own repetition; live it is refused as too late (see `profiles.arrival`). Time-bounded lists are
pruned only when the newest event enters another UTC day, so that pruning costs nothing per event.
"""

from collections.abc import Callable
from typing import Any

from profiles.arrival import LAG_S, climb, newest_before
from profiles.fold_browse import HANDLERS as BROWSE
from profiles.fold_cart import HANDLERS as CART
from profiles.fold_customer import HANDLERS as CUSTOMER
from profiles.fold_order import HANDLERS as ORDER
from profiles.fold_service import HANDLERS as SERVICE
from profiles.part import Part, Tally
from schemas.event import Event, Source
from schemas.settings import Settings

DAY_MS = 86_400_000

SCORE_DAYS = 4
"""Days beyond the horizon for which low scores stay readable: the longest the core's rules look back at them."""

FOLDED = 1
DUPLICATE = 0
CONFLICT = -1
"""The id is that of an earlier event of the part with other content."""
TOO_LATE = -2
"""The event can no longer be told from a duplicate."""

DIGEST_BITS = 20
_DIGEST = (1 << DIGEST_BITS) - 1

Handler = Callable[[Part, int, str, Any], None]

_HANDLERS: dict[str, Handler] = {**ORDER, **BROWSE, **CART, **SERVICE, **CUSTOMER}


class Folder:
    """Folds events into parts; made once per process from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._horizon_ms = settings.horizon_days * DAY_MS
        self._list_ms = self._horizon_ms + SCORE_DAYS * DAY_MS

    def fold(self, part: Part, event: Event) -> int:
        """Fold the event into the part, in place. Returns FOLDED, or why the part was left as it is."""
        event_id = event.id
        recent = part.recent
        at = event.time_ms
        source = event.source
        known = recent.get(event_id)
        if known is not None:
            return DUPLICATE if source is None or _same(known, source.digest) else CONFLICT
        last = part.last_ms
        if source is None:
            stamp = at << DIGEST_BITS
        else:
            # What is not older than the newest of all is not older than the newest of what arrived before.
            if at < last - self._horizon_ms and self._too_late(part, source, at):
                return TOO_LATE
            stamp = at << DIGEST_BITS | source.digest
        if at > last:
            part.last_ms = at
            if at // DAY_MS != last // DAY_MS:
                self._prune(part, at, source)
                recent = part.recent
        if source is not None:
            if part.steps:
                climb(part.steps, source.arrived_ms // 1000, at)
            else:
                part.steps = [[source.arrived_ms // 1000, at]]
        if at < part.first_ms or part.events == 0:
            part.first_ms = at
        recent[event_id] = stamp
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
        return FOLDED

    def _too_late(self, part: Part, source: Source, at: int) -> bool:
        """Say whether a live event is older than what was known when it arrived allows, or than the ids kept."""
        newest = newest_before(part.steps, source.arrived_ms // 1000)
        return at < part.forgotten_ms or (newest is not None and at < newest - self._horizon_ms)

    def _prune(self, part: Part, now: int, source: Source | None) -> None:
        """Drop what is kept by time and too old for any event within the horizon of `now`, the newest event.

        Live, ids are kept for whatever arrived up to `LAG_S` before, since that may be worked off yet.
        """
        if part.recent:
            newest: int | None = now
            if source is not None:
                newest = newest_before(part.steps, source.arrived_ms // 1000 - LAG_S)
            if newest is not None:
                cut = newest - self._horizon_ms
                if source is not None and cut > part.forgotten_ms:
                    part.forgotten_ms = cut
                least = cut << DIGEST_BITS
                part.recent = {event_id: stamp for event_id, stamp in part.recent.items() if stamp >= least}
        cut = now - self._list_ms
        if part.scores is not None:
            part.scores = [score for score in part.scores if score[0] >= cut] or None


def _same(known: int, digest: int) -> bool:
    """Say whether a stamp of `recent` may be that of an event with this digest."""
    old = known & _DIGEST
    return old == digest or not old or not digest


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
