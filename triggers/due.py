"""`due`: when the rules have to look at a person next, and the instances there are, from the facts and the marks alone.

A `Watch` is one rule made ready for this. `next_check` is the lean form, `next_after` the leanest, for every event;
`pending` gives the instances themselves. All are functions of the facts: nothing about time is stored but the marks.
"""

from typing import Protocol

from schemas.settings import Settings
from triggers import scope
from triggers.anchors import Calendar, DayFirst
from triggers.facts import Facts
from triggers.find import finder
from triggers.instances import Instance, earliest, still_open
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
        return earliest(self._prefix, facts, self._find(facts))

    def next_after(self, facts: Facts, event_type: str, time_ms: int) -> int | None:
        """Return `next_check`: these rules look at few facts."""
        return earliest(self._prefix, facts, self._find(facts))

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
