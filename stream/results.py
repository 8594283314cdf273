"""What a run leaves behind about people: the tables of identifiers, of profiles, and of what people have."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import msgspec

from identity.graph import Graph
from lake.profile_table import PROFILES
from lake.tables import EVIDENCE, IDENTITIES
from lake.writer import TableWriter
from profiles.derive import deriver
from profiles.facts import Facts
from profiles.part import Part
from profiles.population import Population, Thresholds
from schemas.errors import StateError
from schemas.firing import Firing
from schemas.settings import Settings
from stream.person import Person
from stream.person_rows import PersonRows

Progress = Callable[[str, int, int], None]
"""Called with a phase, how much of it is done, and how much there is in all (0: not known)."""

Sighting = list[int]  # events, first and last time in ms

PROFILE_ROWS = 10_000
"""Rows of profiles held as Python objects at a time: with their lists and maps some kilobytes each."""

_json = msgspec.json.Encoder().encode

EVERY = 1_000
"""People between two reports of progress."""


class Holder(Protocol):
    """Some of the people, to be read only."""

    def peek(self, one_id: str) -> Person | None:
        """Return the person, None if it is not here."""

    def each(self) -> Iterator[Person]:
        """Yield everybody."""


def write_people(
    folder: Path,
    graph: Graph,
    holders: Sequence[Holder],
    settings: Settings,
    now_ms: int,
    progress: Progress,
) -> dict[str, int]:
    """Write the tables of identifiers, profiles and PEOPLE_TABLES as of `now_ms`; return counts for the summary."""
    elsewhere, thresholds = _survey(graph, holders, settings)
    derive = deriver(settings).row_with_reasons
    rows = PersonRows(folder)
    identities = TableWriter(folder / "identities.parquet", IDENTITIES)
    profiles = TableWriter(folder / "profiles.parquet", PROFILES, PROFILE_ROWS)
    totals = {"people": 0, "people_with_events": 0, "identifiers": 0, "orders": 0, "refunds_left_out": 0}
    for one_id, idents in graph.people():
        person = next(filter(None, (holder.peek(one_id) for holder in holders)), None)
        facts = Facts((), settings) if person is None else person.facts(settings)
        row, derived, reasons = derive(facts, now_ms, thresholds)
        profiles.add((one_id, *row))
        profiles.flush_if_full()
        rows.add(one_id, facts, derived, reasons)
        for ident in idents:
            events, first_ms, last_ms = _sightings(ident, facts.parts, elsewhere) or _not_yet(graph, ident)
            kind, _, value = ident.partition(":")
            identities.add((one_id, kind, value, first_ms, last_ms, events))
        identities.flush_if_full()
        totals["people"] += 1
        totals["people_with_events"] += bool(facts.events)
        totals["identifiers"] += len(idents)
        totals["orders"] += len(facts.orders().list)
        totals["refunds_left_out"] += facts.orders().foreign_refunds
        if totals["people"] % EVERY == 0:
            rows.flush_if_full()
            progress("people", totals["people"], 0)
    rows.close()
    identities.close()
    profiles.close()
    progress("people", totals["people"], totals["people"])
    return totals


def trigger_row(firing: Firing) -> tuple[Any, ...]:
    """Return a trigger's row: the columns of its table without one_id, which is known at the end, then the part."""
    return (
        firing.trigger_id,
        firing.rule,
        firing.rule_version,
        firing.instance,
        firing.anchor_event_id,
        firing.anchor_ms,
        firing.due_ms,
        firing.fired_ms,
        firing.outcome,
        firing.reason,
        _json(firing.payload).decode(),
        firing.part,
    )


def write_evidence(folder: Path, graph: Graph) -> None:
    """Write `evidence.parquet`."""
    evidence = TableWriter(folder / "evidence.parquet", EVIDENCE)
    for row in graph.evidence():
        evidence.add((row.kind, row.a, row.b, row.time_ms, row.event_id))
        evidence.flush_if_full()
    evidence.close()


def _survey(
    graph: Graph, holders: Sequence[Holder], settings: Settings
) -> tuple[dict[str, Sighting], Thresholds | None]:
    """Return what must be known of all people before the first row.

    These are the sightings of identifiers in other people's parts (of hubs and refused pairs), and the thresholds
    over all buyers if the settings need them.
    """
    elsewhere: dict[str, Sighting] = {}
    population = Population(settings)
    for person in chain.from_iterable(holder.each() for holder in holders):
        for part in person.parts.values():
            for ident, seen in part.sightings.items():
                if graph.one_id(ident) != person.one_id:
                    _add(elsewhere.setdefault(ident, []), seen)
        if population.needed:
            population.add(person.facts(settings).orders())
    return elsewhere, population.thresholds()


def _sightings(ident: str, parts: Sequence[Part], elsewhere: dict[str, Sighting]) -> Sighting:
    """Return the events that carried the identifier, in whosever parts they are."""
    total: Sighting = []
    for part in parts:
        if part.key == ident:
            _add(total, [part.events, part.first_ms, part.last_ms])
        elif ident in part.sightings:
            _add(total, part.sightings[ident])
    if ident in elsewhere:
        _add(total, elsewhere[ident])
    return total


def _not_yet(graph: Graph, ident: str) -> Sighting:
    """Return what is known of an identifier whose events the profile stage has not worked off."""
    first = graph.first_seen(ident)
    if first is None:
        raise StateError(f"the graph has {ident} without any event that showed it: report it")
    return [0, first[0], first[0]]


def _add(total: Sighting, seen: Sighting) -> None:
    if total:
        total[0] += seen[0]
        total[1] = min(total[1], seen[1])
        total[2] = max(total[2], seen[2])
    else:
        total.extend(seen)
