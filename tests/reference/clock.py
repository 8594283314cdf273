"""The naive clock: the section Firing of triggers.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from tests.reference.facts import Events, consented, zone
from tests.reference.identifiers import Identifier
from tests.reference.parse import Event
from tests.reference.people import cluster
from tests.reference.rules import Instance, at, instances, local
from tests.reference.settings import Settings


@dataclass(frozen=True)
class Mark:
    instance: Instance
    outcome: str
    reason: str | None
    handled: int

    @property
    def part(self) -> Identifier:
        return self.instance.anchor.ids[0]

    @property
    def fired_at(self) -> int | None:
        return self.handled if self.outcome == "fired" else None


@dataclass
class Person:
    parts: frozenset[Identifier]
    events: Events
    instances: list[Instance]


class Clock:
    def __init__(self, events: Events, s: Settings, until: int) -> None:
        self.events, self.s, self.until = events, s, until
        self.marks: dict[tuple[str, str, str], Mark] = {}
        self.by_part: dict[Identifier, list[Mark]] = {}
        self.holds: dict[tuple[str, str, str], int] = {}
        self.people: list[Person] = []
        self.cache: dict[tuple[frozenset[Identifier], int, int], Person] = {}

    def run(self) -> list[Mark]:
        taken = 0
        now = -1
        while True:
            coming = [self.events[taken].time] if taken < len(self.events) else []
            coming += [t for t in self.timers() if t > now]
            if not coming or min(coming) > self.until:
                return list(self.marks.values())
            now = min(coming)
            before = taken
            while taken < len(self.events) and self.events[taken].time == now:
                taken += 1
            if taken > before:
                self.people = list(self.recluster(self.events[:taken]))
            for k in range(len(self.people)):
                self.handle(k, now)

    def recluster(self, events: Events) -> Iterator[Person]:
        parts: dict[Identifier, Events] = {}
        for e in events:
            if not e.command:
                parts.setdefault(e.ids[0], []).append(e)
        for group in cluster(events, self.s).groups:
            own = frozenset(i for i in group if i in parts)
            if own:
                yield self.person(own, lambda own=own: sorted((e for p in own for e in parts[p]), key=lambda e: e.key))

    def person(self, parts: frozenset[Identifier], events) -> Person:  # type: ignore[no-untyped-def]
        listed = events()
        key = parts, len(listed), sum(1 for m in self.own_marks(parts) if m.instance.rule == "browse-no-order")
        if key not in self.cache:
            self.cache[key] = Person(parts, listed, instances(listed, self.s, self.until, self.day_of))
        return self.cache[key]

    def day_of(self, view: Event) -> str | None:
        for mark in self.by_part.get(view.ids[0], ()):
            if mark.instance.rule == "browse-no-order" and mark.instance.anchor.id == view.id:
                return mark.instance.name
        return None

    def own_marks(self, parts: frozenset[Identifier]) -> list[Mark]:
        return [m for p in parts for m in self.by_part.get(p, ())]

    def pending(self, person: Person) -> list[Instance]:
        years = {m.instance.name for m in self.own_marks(person.parts) if m.instance.rule == "birthday"}
        return [
            i for i in person.instances if i.key not in self.marks and not (i.rule == "birthday" and i.name in years)
        ]

    def timers(self) -> Iterator[int]:
        for person in self.people:
            for i in self.pending(person):
                yield max(i.due, self.holds.get(i.key, 0))

    def handle(self, k: int, now: int) -> None:
        asked: set[tuple[str, str, str]] = set()
        while True:
            person = self.people[k]
            ready = [
                i
                for i in self.pending(person)
                if i.due <= now and i.key not in asked and (self.s.hold == "recheck" or self.holds.get(i.key, 0) <= now)
            ]
            if not ready:
                return
            if self.s.order == "due":
                first = min(ready, key=lambda i: (i.due, *i.key))
            else:
                first = min(ready, key=lambda i: i.key)
            asked.add(first.key)
            self.check(person, first, now)
            if first.rule == "browse-no-order":
                self.people[k] = self.person(person.parts, lambda events=person.events: events)

    def check(self, person: Person, i: Instance, now: int) -> None:
        cap = self.s.caps.get(i.purpose)
        if not consented(person.events, i.purpose):
            outcome, reason = "suppressed", "consent"
        elif cap and cap[0] <= sum(
            1
            for m in self.own_marks(person.parts)
            if m.outcome == "fired" and m.instance.purpose == i.purpose and now - cap[1] < m.handled <= now
        ):
            outcome, reason = "suppressed", "cap"
        elif i.purpose == "marketing" and (end := self.quiet_end(person, now)) is not None:
            self.holds[i.key] = end
            return
        elif now >= i.due + i.expires:
            outcome, reason = "expired", None
        else:
            outcome, reason = "fired", None
        self.marks[i.key] = mark = Mark(i, outcome, reason, now)
        self.by_part.setdefault(mark.part, []).append(mark)

    def quiet_end(self, person: Person, now: int) -> int | None:
        """The end of the quiet hours that `now` lies in."""
        if not self.s.quiet:
            return None
        tz = zone(person.events, self.s)
        here = local(now, tz)
        start, stop = self.s.quiet
        clock = f"{here:%H:%M}"
        if start < stop:
            inside = start <= clock < stop
            day = here.date()
        else:
            inside = clock >= start or clock < stop
            day = here.date() + timedelta(days=1 if clock >= start else 0)
        return at(day, int(stop[:2]), int(stop[3:]), tz) if inside else None
