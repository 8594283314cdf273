"""`due`: when the rules have to look at a person next, and the instances there are, from the facts and the marks alone.

A `Watch` is one rule made ready for this. `next_check` is the lean form, `check_after` the leanest, for every event;
`pending` gives the instances themselves. All are functions of the facts: nothing about time is stored but the marks.
"""

from typing import Protocol

from schemas.settings import Settings
from triggers import scope
from triggers.anchors import Calendar, DayFirst
from triggers.facts import Facts
from triggers.find import finder
from triggers.instances import NEVER, Instance, earliest, still_open
from triggers.local_days import CalendarWatch, DayWatch
from triggers.model import Rule


class Watch(Protocol):
    """One rule, ready. `reads` are the types of event that can change when it is due, `scope` the names it offers."""

    rule: Rule
    reads: frozenset[str]
    scope: scope.Scope

    def next_check(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which an instance without a final mark is to be looked at."""

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the instances without a final mark, those of calendar dates up to the year after `now_ms`."""

    def beyond_pending(self, facts: Facts, now_ms: int) -> int:
        """Return the earliest check of instances that `pending` does not list; NEVER if it lists all."""

    def check_after(self, facts: Facts, event_type: str, time_ms: int, check_ms: int) -> int:
        """Return the next check after an event was folded, given what it was before; NEVER if there is none.

        Never later than `next_check` would say; it may be earlier, where that is much cheaper to tell.
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
        return earliest(self._prefix, facts, self._find(facts))

    def check_after(self, facts: Facts, event_type: str, time_ms: int, check_ms: int) -> int:
        """Return `next_check`: these rules look at few facts."""
        found_ms = earliest(self._prefix, facts, self._find(facts))
        return NEVER if found_ms is None else found_ms

    def beyond_pending(self, facts: Facts, now_ms: int) -> int:
        """Return NEVER: all are listed."""
        return NEVER

    def pending(self, facts: Facts, now_ms: int) -> list[Instance]:
        """Return the instances without a final mark."""
        return still_open(self.rule.name, facts, self._find(facts))


def watch(rule: Rule, settings: Settings, timezone: str) -> Watch:
    """Return a rule made ready; `timezone` is for people who state none."""
    if isinstance(rule.since, Calendar):
        return CalendarWatch(rule, timezone)
    if isinstance(rule.since, DayFirst):
        return DayWatch(rule, timezone)
    return PlainWatch(rule, settings)
