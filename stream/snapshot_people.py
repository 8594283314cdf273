"""The people of a snapshot, a share of them at a time: shares are worked off by several processes.

A share is all people whose OneID begins alike. Its state and its identifiers lie in scratch files; what becomes of them
are Arrow files in a folder of the share. Who has not all their parts, or parts of somebody else, was met while parts
travelled: they are put off, with these parts, until all shares are done.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds

from lake.snapshot_tables import PEOPLE
from lake.tables import Column, Table
from lake.writer import TableWriter
from profiles import part as parts
from profiles.derive import deriver
from profiles.facts import Facts
from profiles.part import Part
from profiles.population import Population, Thresholds
from schemas.event import Event
from schemas.settings import Settings
from stream.person import Person, thaw
from stream.person_rows import PersonRows
from stream.replay import seldom_collected
from stream.wire import ChangeMessage, PartMessage

PEOPLE_ROWS = 10_000
"""Rows of people held as Python objects at a time: with their lists and maps some kilobytes each."""

SIGHTINGS = Table(
    "sightings",
    "One row per identifier of each part",
    "",
    (
        Column("ident", pa.string(), "Identifier", ""),
        Column("events", pa.int64(), "Events that carried it", ""),
        Column("first_ms", pa.int64(), "First of them", ""),
        Column("last_ms", pa.int64(), "Last of them", ""),
        Column("is_part", pa.bool_(), "Whether it is the part's own", ""),
    ),
)
COUNTS = ("people", "people_with_events", "orders", "refunds_left_out", "frozen")
Counts = dict[str, int]


class Share(NamedTuple):
    """A share to work off: its number, where the scratch files are, and how to derive profiles."""

    number: int
    scratch: Path
    settings: dict[str, Any]
    now_ms: int
    thresholds: Thresholds | None


class Done(NamedTuple):
    """What came of a share: counts, people put off with their parts, loose parts, sources of events that wait."""

    number: int
    counts: Counts
    waiting: list[tuple[str, list[bytes], list[str]]]
    loose: list[bytes]
    queued: list[tuple[str, int, int]]


class PeopleFiles:
    """Writes people and what they have into Arrow files of a folder."""

    def __init__(self, folder: Path, settings: Settings, now_ms: int, thresholds: Thresholds | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._now_ms = now_ms
        self._thresholds = thresholds
        self._derive = deriver(settings).row_with_reasons
        self._people = TableWriter(folder / "people.arrow", PEOPLE, PEOPLE_ROWS, scratch=True)
        self._rows = PersonRows(folder, scratch=True)
        self._sightings = TableWriter(folder / "sightings.arrow", SIGHTINGS, scratch=True)
        self.counts: Counts = dict.fromkeys(COUNTS, 0)

    def add(self, one_id: str, held: Iterable[Part]) -> None:
        """Add a person with these parts."""
        facts = Facts(sorted(held, key=lambda part: part.key), self._settings)
        row, derived, reasons = self._derive(facts, self._now_ms, self._thresholds)
        self._people.add((one_id, *row))
        self._people.flush_if_full()
        self._rows.add(one_id, facts, derived, reasons)
        for part in facts.parts:
            self._sightings.add((part.key, part.events, part.first_ms, part.last_ms, True))
            for ident, (events, first_ms, last_ms) in part.sightings.items():
                self._sightings.add((ident, events, first_ms, last_ms, False))
        counts = self.counts
        counts["people"] += 1
        counts["people_with_events"] += bool(facts.events)
        counts["orders"] += len(facts.orders().list)
        counts["refunds_left_out"] += facts.orders().foreign_refunds
        if counts["people"] % 1_000 == 0:
            self._rows.flush_if_full()
            self._sightings.flush_if_full()

    def close(self) -> None:
        """Write what is left."""
        for writer in (self._people, self._rows, self._sightings):
            writer.close()


def work_off(share: Share) -> Done:
    """Work off a share of the people, in a process of its own."""
    settings = Settings.model_validate(share.settings)
    with seldom_collected():
        files = PeopleFiles(folder_of(share.scratch, share.number), settings, share.now_ms, share.thresholds)
        done = Done(share.number, files.counts, [], [], [])
        for one_id, known, keys, person in _people(share):
            if person is None:
                if keys:
                    done.waiting.append((one_id, [], keys))
                else:
                    files.add(one_id, ())
                continue
            _note_queue(person, done)
            held = person.parts
            if held.keys() == set(keys):
                files.add(one_id, held.values())
                continue
            done.loose.extend(parts.encode(part) for key, part in held.items() if key not in keys)
            mine = [part for key, part in held.items() if key in keys]
            missing = [key for key in keys if key not in held]
            if missing:
                done.waiting.append((one_id, [parts.encode(part) for part in mine], missing))
            elif known:
                files.add(one_id, mine)
        files.close()
    return done


def survey(share: Share) -> list[tuple[int, int, int]]:
    """Return what the thresholds need of each buyer of a share: last order, number of orders, net revenue."""
    settings = Settings.model_validate(share.settings)
    found = []
    for *_, person in _people(share):
        if person is not None:
            book = person.facts(settings).orders()
            if book.list:
                totals = book.totals.get(settings.currency)
                found.append((book.list[-1].time_ms, len(book.list), 0 if totals is None else totals.net_minor))
    return found


def thresholds_of(settings: Settings, buyers: Iterable[list[tuple[int, int, int]]]) -> Thresholds | None:
    """Return the thresholds over the buyers of all shares."""
    population = Population(settings)
    for rows in buyers:
        for row in rows:
            population.add_row(row)
    return population.thresholds()


def folder_of(scratch: Path, number: int) -> Path:
    """Return the folder of what became of a share."""
    return scratch / "out" / f"{number:05d}"


def _note_queue(person: Person, done: Done) -> None:
    """Take note of what waits with a frozen person: it is in no part yet."""
    done.counts["frozen"] += person.wait is not None
    for item in person.queue or ():
        if isinstance(item, Event) and item.source is not None:
            done.queued.append((item.source.topic, item.source.partition, item.source.offset))


def _people(share: Share) -> Iterator[tuple[str, bool, list[str], Person | None]]:
    """Yield the people of a share by OneID: whether the graph knows them, which parts are theirs by it, their state.

    The state is None of people who have none yet.
    """
    state = _table(share.scratch / "state", share.number)
    values = state.column("value")
    rows = {one_id: row for row, one_id in enumerate(state.column("one_id").to_pylist())}
    nodes = _table(share.scratch / "nodes", share.number).sort_by([("one_id", "ascending"), ("ident", "ascending")])
    columns = (nodes.column(name).to_pylist() for name in ("one_id", "ident", "has_part"))
    for one_id, some in groupby(zip(*columns, strict=True), itemgetter(0)):
        row = rows.pop(one_id, None)
        person = None if row is None else thaw(one_id, values[row].as_py())
        yield one_id, True, [ident for _, ident, has_part in some if has_part], person
    for one_id, row in rows.items():
        person = thaw(one_id, values[row].as_py())
        if person.parts or person.queue:
            yield one_id, False, [], person


_STATE = pa.schema([("one_id", pa.string()), ("value", pa.binary())])
_NODES = pa.schema([("one_id", pa.string()), ("ident", pa.string()), ("has_part", pa.bool_())])


def _table(folder: Path, number: int) -> pa.Table:
    schema = _STATE if folder.name == "state" else _NODES
    place = folder / f"share={number}"
    files = sorted(str(path) for path in place.glob("*.parquet")) if place.is_dir() else []
    if not files:
        return schema.empty_table()
    return ds.dataset(files, schema=schema, format="parquet").to_table()


def decode_parts(encoded: Iterable[bytes]) -> list[Part]:
    """Return parts from their bytes."""
    return [parts.decode(each) for each in encoded]


def travelling(messages: Iterable[tuple[int, bytes]]) -> dict[str, Part]:
    """Return of each part the first that was sent, by (step, message): later ones were given on after the cut."""
    first: dict[str, tuple[int, Part]] = {}
    for step, state in messages:
        part = parts.decode(state)
        if part.key not in first or step < first[part.key][0]:
            first[part.key] = (step, part)
    return {key: part for key, (_, part) in first.items()}


read_change = msgspec.json.Decoder(ChangeMessage).decode
read_travelling = msgspec.json.Decoder(PartMessage).decode
