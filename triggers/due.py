"""`due`: when the rules have to look at a person next, and the instances there are, from the facts and the marks alone.

A `Watch` is one rule made ready for this. `next_check` is the lean form, for every event; `pending` gives the
instances themselves. Both are functions of the facts: nothing about time is stored but the marks.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.mark import FIRED, HELD, HELD_OUT, Mark
from schemas.settings import Settings
from triggers import scope
from triggers.anchors import Calendar, DayFirst
from triggers.clock import Zone, day_number, iso_day, year_of, zone
from triggers.dates import days_from
from triggers.facts import Facts
from triggers.find import finder, limit_of, until_reads
from triggers.instances import Found, Instance, escaped, marks_of
from triggers.model import Rule

STATED = "customer.identified"
VIEWED = "product.viewed"


class Watch(Protocol):
    """One rule, ready. `reads` are the types of event that can change when it is due, `scope` the names it offers."""

    rule: Rule
    reads: frozenset[str]
    scope: scope.Scope

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which an instance without a final mark is to be looked at."""

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the instances without a final mark, those of calendar dates up to the year after `now_ms`."""

    def next_after(self, facts: Facts, event_type: str, time_ms: int) -> int | None:
        """Return the earliest check that an event just folded can have brought; None if it brought none.

        The lesser of this and what `next_check` was before the event is never later than what it is now.
        """


class PlainWatch:
    """A rule whose instances a finder gives."""

    __slots__ = ("_find", "_prefix", "reads", "rule", "scope")

    def __init__(self, rule: Rule, settings: Settings) -> None:
        self.rule = rule
        self._find, self.reads, self.scope = finder(rule, settings)
        self._prefix = f"{rule.name}|"

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which an instance without a final mark is to be looked at."""
        return _earliest(self._prefix, facts, self._find(facts))

    def next_after(self, facts: Facts, event_type: str, time_ms: int) -> int | None:
        """Return `next_check`: these rules look at few facts."""
        return _earliest(self._prefix, facts, self._find(facts))

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the instances without a final mark."""
        return _open(self.rule.name, facts, self._find(facts))


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
        self._days = rule.after // (24 * 3_600_000)
        self._at = rule.at
        self._limit = limit_of(rule.until)
        self._prefix = f"{rule.name}|"
        self._default_zone = timezone

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which a day without a final mark is to be looked at."""
        return _earliest(self._prefix, facts, self._find(facts))

    def next_after(self, facts: Facts, event_type: str, time_ms: int) -> int | None:
        """Return None at once for a further view of the newest day and for an order, else `next_check`."""
        if event_type == VIEWED:
            views = facts.views()
            if views and views[-1][0] < time_ms:  # not the first of its quarter hour
                return None
            if len(views) > 1 and views[-1][0] == time_ms:
                before = views[-2]
                where = zone(facts.timezone or self._default_zone)
                day = where.day(time_ms)
                if where.day(before[0]) == day and not self._elsewhere(facts, before[1], before[2], day):
                    return None
        elif event_type != STATED:  # it can only call off
            return None
        return _earliest(self._prefix, facts, self._find(facts))

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the days without a final mark."""
        return _open(self.rule.name, facts, self._find(facts))

    def _elsewhere(self, facts: Facts, anchor_id: str, part: str, day: int) -> bool:
        """Return whether a mark gives a view another day than its local one."""
        marks = marks_of(facts, part)
        return any(
            f"{self._prefix}{iso_day(other)}|{anchor_id}" in marks for other in range(day - 2, day + 3) if other != day
        )

    def _kept(self, facts: Facts) -> dict[str, tuple[int, Mark]]:
        """Return the day and mark of each view that has one."""
        prefix = self._prefix
        kept: dict[str, tuple[int, Mark]] = {}
        for part in facts.parts:
            for key, mark in part.marks.items():
                if key.startswith(prefix):
                    _, day, anchor_id = key.split("|", 2)
                    kept[anchor_id] = (day_number(day), mark)
        return kept

    def _find(self, facts: Facts) -> list[Found]:
        views = facts.views()
        if not views:
            return []
        where = zone(facts.timezone or self._default_zone)
        kept = self._kept(facts)
        stop = self._limit(facts)
        first: dict[int, tuple[int, str, str]] = {}
        for view in views:
            known = kept.pop(view[1], None) if kept else None
            day = where.day(view[0]) if known is None else known[0]
            if day not in first:
                first[day] = view
        for day, mark in kept.values():
            if mark.outcome != HELD:
                first.pop(day, None)
        return [
            (iso_day(day), event_id, time_ms, part, where.at(day + self._days, self._at), None)
            for day, (time_ms, event_id, part) in first.items()
            if stop is None or stop <= (time_ms, event_id)
        ]


class CalendarWatch:
    """A date from a trait. One decision for each date, and one message a year, over all parts of the person."""

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
        found = self._dates(facts, lambda year, due_ms, best: best is not None and due_ms >= best)
        return min((instance.check_ms for instance in found), default=None)

    def next_after(self, facts: Facts, event_type: str, time_ms: int) -> int | None:
        """Return `next_check`: few events state a trait."""
        return self.next_check(facts)

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the dates without a final mark up to the year after `now_ms`."""
        last = year_of(self._zone(facts).day(now_ms)) + 1
        return self._dates(facts, lambda year, due_ms, best: year > last)

    def _zone(self, facts: Facts) -> Zone:
        return zone(facts.timezone or self._default_zone)

    def _dates(self, facts: Facts, enough: Callable[[int, int, int | None], bool]) -> list[Instance]:
        """Return open dates until `enough` of (year, due time, earliest check so far) says to stop."""
        stated = facts.trait(self._since.trait)
        if stated is None:
            return []
        value, stated_ms, event_id, part = stated
        where = self._zone(facts)
        over, held = self._decided(facts)
        found: list[Instance] = []
        best: int | None = None
        for year, day in days_from(self._since, value, year_of(where.day(stated_ms))):
            due_ms = where.at(day, self._at)
            if enough(year, due_ms, best):
                break
            date = iso_day(day)
            if date in over or str(year) in over:
                continue
            check_ms = max(due_ms, held.get(date, due_ms))
            best = check_ms if best is None else min(best, check_ms)
            identity = (self.rule.name, date, part)
            found.append(
                Instance(
                    self.rule.name,
                    str(year),
                    event_id,
                    stated_ms,
                    part,
                    due_ms,
                    check_ms,
                    (date, value),
                    f"{self._prefix}{date}|",
                    identity,
                )
            )
        return found

    def _decided(self, facts: Facts) -> tuple[set[str], dict[str, int]]:
        """Return the dates and years that are over, and until when dates are held."""
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
                    over.add(date)
                    if mark.outcome in (FIRED, HELD_OUT):
                        over.add(date[:4])
        return over, held


def watch(rule: Rule, settings: Settings, timezone: str) -> Watch:
    """Return a rule made ready; `timezone` is for people who state none."""
    if isinstance(rule.since, Calendar):
        return CalendarWatch(rule, timezone)
    if isinstance(rule.since, DayFirst):
        return DayWatch(rule, timezone)
    return PlainWatch(rule, settings)


def _mark(prefix: str, facts: Facts, found: Found) -> tuple[str, Mark | None]:
    instance = found[0]
    if "|" in instance or "%" in instance:
        instance = escaped(instance)
    key = f"{prefix}{instance}|{found[1]}"
    parts = facts.parts
    if parts[0].key == found[3]:
        return key, parts[0].marks.get(key)
    return key, marks_of(facts, found[3]).get(key)


def _earliest(prefix: str, facts: Facts, every: Sequence[Found]) -> int | None:
    best: int | None = None
    for found in every:
        due_ms = found[4]
        if best is not None and due_ms >= best:
            continue
        mark = _mark(prefix, facts, found)[1]
        if mark is not None:
            if mark.outcome != HELD:
                continue
            if mark.at_ms > due_ms:
                due_ms = mark.at_ms
        if best is None or due_ms < best:
            best = due_ms
    return best


def _open(name: str, facts: Facts, every: Sequence[Found]) -> list[Instance]:
    listed: list[Instance] = []
    for found in every:
        instance, anchor_id, anchor_ms, part, due_ms, subject = found
        key, mark = _mark(f"{name}|", facts, found)
        if mark is not None and mark.outcome != HELD:
            continue
        check_ms = due_ms if mark is None else max(due_ms, mark.at_ms)
        identity = (name, instance, anchor_id)
        listed.append(Instance(name, instance, anchor_id, anchor_ms, part, due_ms, check_ms, subject, key, identity))
    return listed
