"""The main job: files of events in, people, profiles and triggers out, on a virtual clock.

1. `_read`: every line is admitted or becomes a dead letter; the sorter keeps admitted events, on disk if they are many.
2. `_run`: the events, by (time, id) and each id once, go through the live stages; then the clock goes on to the end.
3. `_write`: the tables, in a folder that appears whole or not at all.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from identity.graph import Graph
from identity.policy import Policy
from ingest.mapping import Mapping as RowMapping
from ingest.order import EventSorter, Refused
from ingest.sources import Progress as Bytes
from ingest.sources import check, read, total_bytes
from lake import tables as lake_tables
from lake.database import DATABASE, VIEWS, write_database
from lake.dead_letters import DeadLetters
from lake.late_person import LatePerson
from lake.profile_table import PROFILES
from lake.tables import IDENTITY_CHANGES
from lake.writer import FINISHED, TableWriter, check_target, whole_folder
from schemas.errors import InvalidEvent
from schemas.event import Rejected
from schemas.firing import Firing
from schemas.settings import Settings
from schemas.times import format_ms
from stream.memory import MemoryPipeline
from stream.people import MAX_DECODED
from stream.results import Progress, trigger_row, write_evidence, write_people
from triggers.engine import Engine
from triggers.rules import RuleSet

TABLES = (*lake_tables.TABLES, PROFILES)
EVERY = 5_000
"""Events between two reports of progress."""


def replay(
    paths: Sequence[str],
    out: Path,
    settings: Settings,
    mappings: Sequence[RowMapping] | None = None,
    until_ms: int | None = None,
    progress: Progress = lambda phase, done, total: None,
    max_decoded: int = MAX_DECODED,
) -> dict[str, Any]:
    """Replay the files into the folder `out` and return the summary that is also written there.

    `until_ms` is the last instant, inclusive; by default that of the last event. `max_decoded` bounds how many people
    are held decoded at once. Raises ConfigError for a file that cannot be read whole or a wrong setting, and then
    nothing is written.
    """
    check(paths, mappings)
    check_target(out)
    ruleset = RuleSet.from_settings(settings)
    with whole_folder(out) as folder, TemporaryDirectory(prefix=".scratch-", dir=folder) as scratch:
        job = _Replay(settings, ruleset, folder, Path(scratch), progress, max_decoded)
        with seldom_collected():
            try:
                job.read(paths, mappings)
                job.run(until_ms)
            finally:
                job.close()
            return job.write()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let Python's garbage collector look seldom: what lives here lives long, and hardly anything is a cycle."""
    former = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*former)
        gc.unfreeze()


class _Replay:
    """One run: its counters and open files."""

    def __init__(
        self,
        settings: Settings,
        ruleset: RuleSet,
        folder: Path,
        scratch: Path,
        progress: Progress,
        max_decoded: int,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._progress = progress
        self._sources: list[str] = []
        self._lines = 0
        self._until_ms = 0
        self._types: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._announced: Counter[str] = Counter()
        self._sorter = EventSorter(settings, folder=scratch)
        self._deadletters = DeadLetters(scratch)
        self._changes = TableWriter(folder / "identity_changes.parquet", IDENTITY_CHANGES)
        self._rows = LatePerson(scratch)
        self._json = msgspec.json.Encoder()
        self._graph = Graph(Policy.from_settings(settings), settings.space)
        engine = Engine(ruleset, settings)
        self._pipeline = MemoryPipeline(
            settings, self._graph, engine, self._publish, self._announce, max_decoded=max_decoded
        )

    def read(self, paths: Sequence[str], mappings: Sequence[RowMapping] | None) -> None:
        """Admit or reject every line of the files."""
        add = self._sorter.add
        reached = Bytes(total_bytes(list(paths)))
        for place, path in enumerate(paths):
            self._sources.append(os.fsencode(path).decode("utf-8", "replace"))  # a name need not be UTF-8
            for line in read(path, mappings, reached):
                self._lines += 1
                if self._lines % EVERY == 0:
                    self._progress("read", reached.done, reached.total)
                text = line.event
                if isinstance(text, Rejected):
                    self._refuse(Refused(place, line.number, line.raw, text))
                    continue
                try:
                    add(text, place, line.number, line.raw)
                except InvalidEvent as error:
                    self._refuse(Refused(place, line.number, line.raw, Rejected(error.reason, error.detail)))
        self._progress("read", reached.done, reached.done)

    def run(self, until_ms: int | None) -> None:
        """Send the events through the stages in the order of their times, then move the clock on to the end."""
        send = self._pipeline.send
        row = self._rows.event
        types = self._types
        last_ms = 0
        for sent, event in enumerate(self._sorter.sorted(until_ms, self._refuse)):
            send(event)
            types[event.type] += 1
            row((event.id, event.type, event.time_ms, event.idents[0] if event.idents else None))
            last_ms = event.time_ms
            if sent % EVERY == 0:
                self._progress("run", sent, self._sorter.added)
        self._until_ms = last_ms if until_ms is None else until_ms
        self._pipeline.advance(self._until_ms)
        self._progress("run", self._sorter.added, self._sorter.added)

    def close(self) -> None:
        """Close the files that were written while reading and running."""
        self._sorter.close()
        self._changes.close()

    def write(self) -> dict[str, Any]:
        """Write the tables of people, the database and the summary; return the summary."""
        folder = self._folder
        people = [stage.people for stage in self._pipeline.stages]
        totals = write_people(folder, self._graph, people, self._settings, self._until_ms, self._progress)
        write_evidence(folder, self._graph)
        self._rows.complete(folder, self._graph.one_id)
        self._deadletters.complete(folder, self._sources)
        self._progress("tables", 1, 2)
        write_database(folder, folder / DATABASE, TABLES, VIEWS)
        summary = self._summary(totals)
        text = msgspec.json.format(self._json.encode(summary), indent=2)
        (folder / FINISHED).write_bytes(text + b"\n")
        self._progress("tables", 2, 2)
        return summary

    def _summary(self, totals: dict[str, int]) -> dict[str, Any]:
        sorter = self._sorter
        return {
            "lines": self._lines,
            "events": sum(self._types.values()),
            "duplicates": sorter.duplicates,
            "deadletters": sum(self._reasons.values()),
            "left_out": sorter.later,
            **totals,
            **{change: self._announced[change] for change in ("merged", "split", "refused", "hub")},
            "triggers": sum(self._outcomes.values()),
            "until": format_ms(self._until_ms) if self._types or self._until_ms else None,
            "sources": self._sources,
            "events_by_type": _sorted(self._types),
            "deadletters_by_reason": _sorted(self._reasons),
            "triggers_by_rule": nested(self._outcomes),
            "identifiers_ignored": nested(sorter.ignored),
            "requests_to_the_resolver": self._pipeline.counts["requests"],
            "parts_moved": self._pipeline.counts["parts_moved"],
            "settings": self._settings.model_dump(mode="json"),
        }

    def _refuse(self, line: Refused) -> None:
        self._reasons[line.why.reason] += 1
        self._deadletters.add(line.source, (line.number, line.why.reason, line.why.detail, line.raw))

    def _announce(self, change: Any) -> None:
        self._announced[change.kind] += 1
        self._changes.add(
            (change.at_ms, change.kind, change.one_id, change.other_one_id, change.reason, change.event_id)
        )
        self._changes.flush_if_full()

    def _publish(self, firing: Firing) -> None:
        self._outcomes[firing.rule, firing.outcome] += 1
        self._rows.trigger(trigger_row(firing))


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter)}


def nested(counter: Mapping[tuple[str, Any], int]) -> dict[str, dict[str, int]]:
    """Return counts by two names as a dictionary in a dictionary, sorted."""
    nested: dict[str, dict[str, int]] = {}
    for outer, inner in sorted(counter):
        nested.setdefault(outer, {})[inner] = counter[outer, inner]
    return nested
