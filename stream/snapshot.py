"""A consistent picture of all people at one moment, from the lake alone.

1. The cut: up to which offsets each table counts (`stream/cut.py`).
2. The graph and the state of everybody, laid out in shares: the newest of both out of their changelogs
   (`lake/snapshot_graph.py`); for a past time, replayed from the events up to it (`stream/snapshot_past.py`).
3. Processes work the shares off: profiles, and what people have (`stream/snapshot_people.py`). What was under way at
   the cut is put with its owner afterwards.
4. Events, triggers with their goals, changes and the rest follow in SQL (`lake/snapshot_facts.py`), and all becomes one
   DuckDB file with the ready answers as views.

Memory is bounded by the size of a share and by what DuckDB may use, whatever the number of people.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from lake import catalogue
from lake import snapshot_facts as facts
from lake.answers import ANSWERS, create
from lake.database import DATABASE, write_database
from lake.snapshot_graph import (
    SHARE_PEOPLE,
    count_people,
    make_tables,
    read_graph,
    shares_for,
    write_evidence,
    write_identifiers,
    write_nodes,
    write_state,
)
from lake.snapshot_sources import MEMORY, Sources
from lake.snapshot_tables import PEOPLE, SNAPSHOT, SNAPSHOT_TABLES
from lake.store import LakeStore
from lake.tables import PEOPLE_TABLES
from lake.writer import BATCH_ROWS, FINISHED, TableWriter, check_target, whole_folder
from profiles import part as parts
from profiles.part import Part
from profiles.population import Thresholds
from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.times import format_ms
from stream.cut import EVENTS, STATE, Cut, choose, complete_ms
from stream.exported_people import INBOX, parts_in
from stream.results import Progress
from stream.snapshot_past import CHANGES_QUERY, FIRED_QUERY, replay_past, write_past_state
from stream.snapshot_people import (
    Done,
    PeopleFiles,
    Share,
    decode_parts,
    folder_of,
    read_change,
    read_travelling,
    survey,
    thresholds_of,
    travelling,
    work_off,
)
from stream.wire import partition_of
from triggers.rules import RuleSet

LAST = 99_999
"""Number of the share of people who were put off."""


def snapshot(
    store: LakeStore,
    settings: Settings,
    out: Path,
    as_of_ms: int | None = None,
    progress: Progress = lambda phase, done, total: None,
    processes: int | None = None,
    share_people: int = SHARE_PEOPLE,
    memory: str = MEMORY,
) -> dict[str, Any]:
    """Write a picture of all people into the folder `out` and return its summary.

    `as_of_ms` is the moment, None for the latest that the lake gives. `memory` is what the database may use, beside
    some hundred MB for each of the `processes`, by default one for each core. Raises ConfigError for a wrong folder or
    a moment that the lake does not reach, TransientError while the lake is not there or not complete.
    """
    check_target(out)
    listings = catalogue.read_all(store)
    cut = choose(store, listings, complete_ms(listings))
    if as_of_ms is not None and cut.clock_ms is None and as_of_ms > cut.through_ms:
        raise ConfigError(f"--as-of: the lake is complete up to {format_ms(cut.through_ms)} only")
    with whole_folder(out) as folder, TemporaryDirectory(prefix=".scratch-", dir=folder) as scratch:
        sources = Sources(store, listings, Path(scratch), memory)
        job = _Snapshot(sources, cut, settings, folder, Path(scratch), progress, as_of_ms)
        try:
            with _Pool(processes or os.cpu_count() or 1) as run:
                job.gather(share_people, run)
                job.people(run)
            return job.write()
        finally:
            sources.close()


class _Snapshot:
    """One run. `as_of_ms` is None for the latest picture."""

    def __init__(
        self,
        sources: Sources,
        cut: Cut,
        settings: Settings,
        folder: Path,
        scratch: Path,
        progress: Progress,
        as_of_ms: int | None,
    ) -> None:
        self._sources = sources
        self._cut = cut
        self._settings = settings
        self._folder = folder
        self._scratch = scratch
        self._progress = progress
        self._as_of_ms = as_of_ms
        self._began_ms = int(time.time() * 1000)
        self._counts: Counter[str] = Counter()
        self._shares = 0
        self._people = 0
        self._now_ms = 0

    def gather(self, share_people: int, run: "Run") -> None:
        """Lay out identifiers and the state of people in shares."""
        cut, sources, scratch = self._cut, self._sources, self._scratch
        limits = facts.Limits(cut.events, cut.written_ms, cut.requests, cut.through_ms, cut.graph_ms)
        facts.limit(sources, limits, self._as_of_ms)
        make_tables(sources, tuple(self._settings.identity.kinds))
        if self._as_of_ms is None:
            self._now_ms = cut.through_ms if cut.clock_ms is None else max(cut.clock_ms, facts.last_event_ms(sources))
            self._progress("graph", 0, 0)
            read_graph(sources, cut.graph)
        else:
            self._now_ms = self._as_of_ms
            facts.count_events(sources)
            replay_past(
                sources, scratch, self._settings, self._now_ms, run, lambda done: self._progress("run", done, 0)
            )
        self._people = count_people(sources)
        self._shares = shares_for(self._people, share_people)
        write_nodes(sources, self._shares, scratch)
        self._progress("state", 0, self._people)
        if self._as_of_ms is None:
            write_state(sources, cut.state, self._shares, scratch)
        else:
            write_past_state(sources, self._shares, scratch)

    def people(self, run: "Run") -> None:
        """Write the tables of people."""
        settings = self._settings.model_dump(mode="json")
        shares = [Share(number, self._scratch, settings, self._now_ms, None) for number in range(self._shares)]
        thresholds: Thresholds | None = None
        if self._settings.profiles.rfm.method != "fixed":
            thresholds = thresholds_of(self._settings, run(survey, shares))
        files = _Tables(self._folder)
        put_off: list[Done] = []
        for done in run(work_off, [share._replace(thresholds=thresholds) for share in shares]):
            self._take(done, files)
            put_off.append(done)
            self._progress("people", self._counts["people"], self._people)
        self._settle(put_off, files, thresholds)
        files.close()

    def write(self) -> dict[str, Any]:
        """Write all other tables, the database and the summary; return the summary."""
        sources, folder = self._sources, self._folder
        past = self._as_of_ms is not None
        steps = iter(range(1, 9))

        def step() -> None:
            self._progress("tables", next(steps), 8)

        sightings = sorted(str(path) for path in self._scratch.glob("sightings-*.arrow"))
        sources.sql.register("sightings", ds.dataset(sightings, format="ipc"))
        if not past:
            facts.count_events(sources)
        step()
        identifiers = write_identifiers(sources, folder / "identifiers.parquet")
        step()
        types = facts.write_events(sources, folder / "events.parquet")
        odd = facts.odd_parts(sources)
        step()
        facts.find_homes(sources, self._partition_of)
        fired = {"fired": FIRED_QUERY} if past else {}
        goals = _goals(RuleSet.from_settings(self._settings))
        path = folder / "triggers.parquet"
        triggers = facts.write_triggers(sources, goals, folder / "events.parquet", path, **fired)
        step()
        query = {"query": CHANGES_QUERY} if past else {}
        changes = facts.write_changes(sources, folder / "identity_changes.parquet", **query)
        facts.write_tag_changes(sources, self._now_ms, folder / "tag_changes.parquet")
        facts.write_surveys(sources, folder / "surveys.parquet")
        step()
        write_evidence(sources, folder / "evidence.parquet")
        self._write_about()
        step()
        sources.close()
        path = folder / DATABASE
        write_database(folder, path, SNAPSHOT_TABLES, scratch=self._scratch, finish=lambda made: create(made, ANSWERS))
        step()
        summary = {
            "events": sum(types.values()),
            "identifiers": identifiers,
            **{name: self._counts[name] for name in ("people", "people_with_events", "orders", "refunds_left_out")},
            **{change: changes.get(change, 0) for change in ("merged", "split", "refused", "hub")},
            "triggers": triggers,
            "until": format_ms(self._now_ms),
            "complete_through": format_ms(self._cut.through_ms),
            "took_s": round(time.time() - self._began_ms / 1000, 1),
            "offsets": self._cut.offsets(),
            **{name: self._counts[name] for name in ("frozen", "parts_under_way", "parts_not_there_yet")},
            "parts_with_other_events": odd,
            "events_by_type": types,
            "settings": self._settings.model_dump(mode="json", exclude={"kafka": {"options"}}),
        }
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (folder / FINISHED).write_bytes(text + b"\n")
        step()
        return summary

    def _take(self, done: Done, files: "_Tables") -> None:
        """Add what came of a share to the tables; its files are done with."""
        self._counts.update(done.counts)
        folder = folder_of(self._scratch, done.number)
        (folder / "sightings.arrow").rename(self._scratch / f"sightings-{done.number:05d}.arrow")
        files.add(folder)
        shutil.rmtree(folder)
        prefix = self._settings.kafka.prefix
        facts.leave_out(self._sources, ((topic.removeprefix(prefix), n, place) for topic, n, place in done.queued))

    def _settle(self, shares: Sequence[Done], files: "_Tables", thresholds: Thresholds | None) -> None:
        """Give the people who were put off the parts that were elsewhere or on their way, and write them."""
        loose = {part.key: part for done in shares for part in decode_parts(done.loose)}
        waiting = [each for done in shares for each in done.waiting]
        writer = PeopleFiles(folder_of(self._scratch, LAST), self._settings, self._now_ms, thresholds)
        if waiting:
            on_their_way = travelling(self._sent())
            for partition in self._cut.state:
                for part in self._inbox(partition):
                    loose.setdefault(part.key, part)
            for one_id, held, missing in sorted(waiting):
                found = [(key, loose.get(key) or on_their_way.get(key)) for key in missing]
                come = [part for _, part in found if part is not None]
                self._counts["parts_under_way"] += len(come)
                self._counts["parts_not_there_yet"] += len(missing) - len(come)
                writer.add(one_id, [*decode_parts(held), *come])
        writer.close()
        self._take(Done(LAST, writer.counts, [], [], []), files)

    def _sent(self) -> Iterator[tuple[int, bytes]]:
        """Yield the parts (step, bytes) that were sent before the cut and not yet read at it."""
        found = []
        for partition, limit in self._cut.events.items():
            relation = self._sources.partition("commands", EVENTS, partition)
            rows = self._sources.sql.execute(
                f"SELECT value, epoch_ms(written_at) FROM {relation} "  # noqa: S608  our own
                f"WHERE kind = 'part' AND \"offset\" >= {limit}"
            ).fetchall()
            found += [(read_travelling(value), written_ms) for value, written_ms in rows]
        givers = self._givers({said.step for said, _ in found})
        for said, written_ms in found:
            giver = givers.get((said.step, parts.decode(said.state).key))
            if giver is not None and written_ms <= self._cut.written_ms.get(self._partition_of(giver), 0):
                yield said.step, said.state

    def _givers(self, steps: set[int]) -> dict[tuple[int, str], str]:
        """Return by step and part who was told to give it away."""
        if not steps:
            return {}
        rows = self._sources.sql.execute(
            "SELECT decode(value) FROM lake_commands "
            "WHERE kind = 'change' AND list_contains(?, (decode(value)::JSON->>'step')::BIGINT)",
            [sorted(steps)],
        ).fetchall()
        changes = [read_change(text) for (text,) in rows]
        return {(said.step, m.part): m.from_one_id for said in changes for m in said.moves if m.from_one_id is not None}

    def _partition_of(self, one_id: str) -> int:
        return partition_of(one_id, max(self._cut.events) + 1)

    def _inbox(self, partition: int) -> list[Part]:
        """Return the parts that a partition was sent before it knew why."""
        relation = self._sources.partition("state", STATE, partition)
        rows = self._sources.sql.execute(
            f'SELECT arg_max({{value: value}}, "offset").value FROM {relation} WHERE key = ?::BLOB AND "offset" < ?',  # noqa: S608
            [INBOX, self._cut.state[partition]],
        ).fetchall()
        inbox = rows[0][0] if rows else None
        return [] if inbox is None else parts_in(inbox)

    def _write_about(self) -> None:
        """Write the table `snapshot`, the one row about the snapshot itself."""
        settings, offsets = self._settings, msgspec.json.encode(self._cut.offsets()).decode()
        times = (self._now_ms, self._cut.through_ms, offsets, self._began_ms)
        writer = TableWriter(self._folder / f"{SNAPSHOT.name}.parquet", SNAPSHOT)
        writer.add((*times, settings.currency, settings.timezone, version("kith")))
        writer.close()


def _goals(ruleset: RuleSet) -> dict[str, tuple[str, int]]:
    """Return by rule the type of event that is its goal, and the ms within which it must come."""
    return {rule.name: (rule.goal.event, rule.goal.within) for rule in ruleset.rules if rule.goal is not None}


Run = Callable[..., Any]
"""Maps a function over shares, in their order."""


class _Pool:
    """Maps over several shares in processes, over one in this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Run:
        return self._map

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def _map(self, work: Callable[[Any], Any], shares: Sequence[Any]) -> Iterator[Any]:
        if self._processes == 1 or len(shares) < 2:
            return map(work, shares)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._processes, get_context("spawn"))
        return self._pool.map(work, shares)


class _Tables:
    """Appends the Arrow files of the shares to the Parquet files of people and what they have."""

    def __init__(self, folder: Path) -> None:
        self._writers = {
            table.name: pq.ParquetWriter(folder / f"{table.name}.parquet", table.schema, compression="zstd")
            for table in (PEOPLE, *PEOPLE_TABLES)
        }
        self._gathered: dict[str, list[pa.RecordBatch]] = {name: [] for name in self._writers}

    def add(self, folder: Path) -> None:
        """Append the files of a share."""
        for name, gathered in self._gathered.items():
            with pa.OSFile(str(folder / f"{name}.arrow")) as file:
                reader = pa.ipc.open_file(file)
                for number in range(reader.num_record_batches):
                    gathered.append(reader.get_batch(number))
                    if sum(batch.num_rows for batch in gathered) >= BATCH_ROWS:
                        self._write(name)

    def close(self) -> None:
        """Write what is left, and the footers."""
        for name, writer in self._writers.items():
            self._write(name)
            writer.close()

    def _write(self, name: str) -> None:
        gathered = self._gathered[name]
        if gathered:
            self._writers[name].write_table(pa.Table.from_batches(gathered), row_group_size=BATCH_ROWS)
            gathered.clear()
