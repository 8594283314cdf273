"""Rules whose anchor is a local day: the first view of a day, and dates from a trait."""

from collections.abc import Iterator
from typing import Any

from schemas.mark import HELD, Mark
from triggers import scope
from triggers.anchors import Calendar
from triggers.clock import DAY_MS, Zone, day_number, iso_day, year_of, zone
from triggers.dates import days_from
from triggers.facts import Facts
from triggers.find import limit_of, until_reads
from triggers.instances import NEVER, Found, Instance, earliest, still_open
from triggers.model import Rule

STATED = "customer.identified"
VIEWED = "product.viewed"
_DAY_TEXT = len("2026-01-02")


class DayWatch:
    """The first view of each local day.

    A view with a mark keeps the day of its mark, whatever the time zone is now. A decided view that is no longer among
    the recent ones was the first of its day, which is thereby over.
    """

    __slots__ = ("_at", "_days", "_default_zone", "_limit", "_prefix", "reads", "rule", "scope")

    def __init__(self, rule: Rule, timezone: str) -> None:
        if not isinstance(rule.after, int) or rule.at is None:
            raise TypeError(f"{rule.name}: the first view of a day is followed by days and a time of day")
        self.rule = rule
        self.scope = scope.DAY
        self.reads = until_reads(rule.until) | {VIEWED, STATED}
        self._days = rule.after // DAY_MS
        self._at = rule.at
        self._limit = limit_of(rule.until)
        self._prefix = f"{rule.name}|"
        self._default_zone = timezone

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which a day without a final mark is to be looked at."""
        return earliest(self._prefix, facts, self._find(facts))

    def check_after(self, facts: Facts, event_type: str, time_ms: int, check_ms: int) -> int:
        """Return the time due for the day of a view, if that is earlier; other events but a trait only call off."""
        if event_type == VIEWED:
            where = zone(facts.timezone or self._default_zone)
            return min(check_ms, where.at(where.day(time_ms) + self._days, self._at))
        if event_type != STATED:
            return check_ms
        found_ms = self.next_check(facts)
        return NEVER if found_ms is None else found_ms

    def beyond_pending(self, facts: Facts, now_ms: int) -> int:
        """Return NEVER: all are listed."""
        return NEVER

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the days without a final mark."""
        return still_open(self.rule.name, facts, self._find(facts))

    def _kept(self, facts: Facts) -> dict[str, tuple[str, Mark]]:
        """Return the day and mark of each view that has one."""
        prefix = self._prefix
        start, end = len(prefix), len(prefix) + _DAY_TEXT
        kept: dict[str, tuple[str, Mark]] = {}
        for part in facts.parts:
            for key, mark in part.marks.items():
                if key.startswith(prefix):
                    kept[key[end + 1 :]] = (key[start:end], mark)
        return kept

    def _find(self, facts: Facts) -> list[Found]:
        """Return the days with a view, not called off and without a final mark."""
        views = facts.views()
        if not views:
            return []
        where = zone(facts.timezone or self._default_zone)
        kept = self._kept(facts)
        stop = self._limit(facts)
        first: dict[int, tuple[int, str, str] | None] = {}
        for view in views:
            known = kept.pop(view[1], None) if kept else None
            if known is None:
                first.setdefault(where.day(view[0]), view)
            else:
                first.setdefault(day_number(known[0]), None if known[1].outcome != HELD else view)
        for text, mark in kept.values():
            if mark.outcome != HELD:
                first.pop(day_number(text), None)
        return [
            (iso_day(day), view[1], view[0], view[2], where.at(day + self._days, self._at), None)
            for day, view in first.items()
            if view is not None and (stop is None or stop <= view[:2])
        ]


class CalendarWatch:
    """A date from a trait. One decision a year, over all parts of the person."""

    __slots__ = ("_at", "_default_zone", "_prefix", "_since", "reads", "rule", "scope")

    def __init__(self, rule: Rule, timezone: str) -> None:
        if not isinstance(rule.since, Calendar) or rule.at is None:
            raise TypeError(f"{rule.name}: a calendar date has a trait and a time of day")
        self.rule = rule
        self.scope = scope.CALENDAR
        self.reads = frozenset((STATED,))
        self._since = rule.since
        self._at = rule.at
        self._prefix = f"{rule.name}|"
        self._default_zone = timezone

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which a date without a final mark is to be looked at."""
        stated = facts.trait(self._since.trait)
        if stated is None:
            return None
        best: int | None = None
        for _, _, due_ms, check_ms in self._dates(facts, stated):
            if best is not None and due_ms >= best:
                break
            if best is None or check_ms < best:
                best = check_ms
        return best

    def check_after(self, facts: Facts, event_type: str, time_ms: int, check_ms: int) -> int:
        """Return `next_check`: few events state a trait."""
        found_ms = self.next_check(facts)
        return NEVER if found_ms is None else found_ms

    def beyond_pending(self, facts: Facts, now_ms: int) -> int:
        """Return the check of the first date after the year that follows `now_ms`."""
        stated = facts.trait(self._since.trait)
        if stated is None:
            return NEVER
        last = year_of(self._zone(facts).day(now_ms)) + 1
        return next((check_ms for year, _, _, check_ms in self._dates(facts, stated) if year > last), NEVER)

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the dates without a final mark up to the year after `now_ms`."""
        stated = facts.trait(self._since.trait)
        if stated is None:
            return []
        value, stated_ms, event_id, part = stated
        name = self.rule.name
        last = year_of(self._zone(facts).day(now_ms)) + 1
        found: list[Instance] = []
        for year, date, due_ms, check_ms in self._dates(facts, stated):
            if year > last:
                break
            found.append(
                Instance(
                    rule=name,
                    instance=str(year),
                    anchor_id=event_id,
                    anchor_ms=stated_ms,
                    part=part,
                    due_ms=due_ms,
                    check_ms=check_ms,
                    subject=(date, value),
                    mark_key=f"{name}|{date}|",
                    identity=(name, date, part),
                )
            )
        return found

    def _zone(self, facts: Facts) -> Zone:
        return zone(facts.timezone or self._default_zone)

    def _dates(self, facts: Facts, stated: tuple[Any, int, str, str]) -> Iterator[tuple[int, str, int, int]]:
        """Yield (year, date, due time, check time) of the dates without a final mark, by date; without end."""
        where = self._zone(facts)
        over, held = self._decided(facts)
        for year, day in days_from(self._since, stated[0], year_of(where.day(stated[1]))):
            date = iso_day(day)
            if date[:4] not in over:
                due_ms = where.at(day, self._at)
                yield year, date, due_ms, max(due_ms, held.get(date, due_ms))

    def _decided(self, facts: Facts) -> tuple[set[str], dict[str, int]]:
        """Return the years that are over, and until when dates are held."""
        prefix = self._prefix
        over: set[str] = set()
        held: dict[str, int] = {}
        for part in facts.parts:
            for key, mark in part.marks.items():
                if key.startswith(prefix):
                    date = key[len(prefix) : -1]
                    if mark.outcome == HELD:
                        held[date] = max(mark.at_ms, held.get(date, mark.at_ms))
                        continue
                    over.add(date[:4])
        return over, held
