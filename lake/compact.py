"""Compaction: many small files of a table, date and partition become few large ones, and what is left over goes.

The rows of the old files are written to a new one, sorted; then the partition's listing names the new one in the place
of the old, in one step. Who reads by the listing sees each row once, before and after. Old files stay for a while, for
those who have read the old listing and not yet the files. Killed at any point it leaves an unlisted file, no more.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
from msgspec.structs import replace

from lake import catalogue
from lake.catalogue import DataFile, Listing, Replaced
from lake.lake_tables import BY_NAME
from lake.reading_lake import relation
from lake.store import ROW_GROUP, LakeStore
from schemas.errors import StateError

TARGET_BYTES = 128 << 20
"""A file of this size is left alone, and none is made much larger."""

MEMORY = "512MB"
"""What sorting may use before it goes to disk."""

Progress = Callable[[int, int], None]
"""Called with groups of files done, and how many there are."""


class Group(NamedTuple):
    """Files that become one: of one table, date and partition, with nothing of it between them."""

    listing: Listing
    files: tuple[DataFile, ...]

    @property
    def path(self) -> str:
        """Where the new file stands; no other one covers the same offsets."""
        first, last = self.files[0], self.files[-1]
        date = _date_of(first)
        return catalogue.data_path(
            first.table, date, self.listing.topic, self.listing.partition, first.first, last.last
        )


class Done(NamedTuple):
    """What was done: groups merged, and the files that they had."""

    groups: int
    files: int


def groups(listings: Sequence[Listing], least: int = 2, target_bytes: int = TARGET_BYTES) -> list[Group]:
    """Return which files are to become one: at least so many small ones of a table, date and partition."""
    found = []
    for listing in listings:
        by_place: dict[tuple[str, str], list[DataFile]] = {}
        for file in sorted(listing.files, key=lambda file: file.first):
            by_place.setdefault((file.table, _date_of(file)), []).append(file)
        for files in by_place.values():
            found += [Group(listing, tuple(run)) for run in _runs(files, target_bytes) if len(run) >= max(2, least)]
    return found


def compact(
    store: LakeStore,
    chosen: Sequence[Group],
    memory: str = MEMORY,
    progress: Progress = lambda done, total: None,
    fault: Callable[[str], None] = lambda point: None,
) -> Done:
    """Merge groups of files, one after the other. Files that another one has replaced meanwhile are left alone."""
    merged = files = 0
    for number, group in enumerate(chosen):
        progress(number, len(chosen))
        if _merge(store, group, memory, fault):
            merged += 1
            files += len(group.files)
    progress(len(chosen), len(chosen))
    return Done(merged, files)


def sweep(store: LakeStore, older_than_s: float) -> list[str]:
    """Remove files that were replaced, or written and never listed, longer ago; return their paths."""
    gone = [path for listing in catalogue.read_all(store) for path in sweep_replaced(store, listing, older_than_s)]
    return gone + _sweep_orphans(store, older_than_s)


def sweep_replaced(store: LakeStore, listing: Listing, older_than_s: float) -> list[str]:
    """Remove the files of a partition that were replaced longer ago; return their paths."""
    before_ms = int((time.time() - older_than_s) * 1000)
    old = {each for each in listing.replaced if each.at_ms <= before_ms}
    for each in old:
        store.delete(each.path)
    if old:

        def change(now: Listing) -> Listing:
            return replace(now, replaced=tuple(each for each in now.replaced if each not in old))

        catalogue.update(store, listing.topic, listing.partition, change)
    return sorted(each.path for each in old)


def _sweep_orphans(store: LakeStore, older_than_s: float) -> list[str]:
    before_s = time.time() - older_than_s
    # Listed first: a file that is listed meanwhile is young, and so is left alone.
    found = [info for name in BY_NAME for info in store.each(name)]
    known: set[str] = set()
    for listing in catalogue.read_all(store):
        known.update(file.path for file in listing.files)
        known.update(each.path for each in listing.replaced)
    gone = [info.path for info in found if info.path not in known and info.written_s <= before_s]
    for path in gone:
        store.delete(path)
    return gone


def _runs(files: list[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Yield neighbours among the small files, of about the target size together."""
    run: list[DataFile] = []
    for file in files:
        if file.bytes >= target_bytes or sum(each.bytes for each in run) + file.bytes > target_bytes:
            yield run
            run = []
        if file.bytes < target_bytes:
            run.append(file)
    yield run


def _merge(store: LakeStore, group: Group, memory: str, fault: Callable[[str], None]) -> bool:
    table = BY_NAME[group.files[0].table]
    listed = catalogue.read(store, group.listing.topic, group.listing.partition).files
    if not set(group.files) <= set(listed):
        return False
    with tempfile.TemporaryDirectory(prefix="kith-compact-") as folder:
        connection = duckdb.connect(config={"memory_limit": memory, "temp_directory": folder, "threads": 2})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            one = replace(group.listing, files=group.files)
            rows = relation(connection, store, [one], table)
            order = ", ".join(f'"{column}"' for column in table.sorted_by)
            fault("before the file")
            counted = _Counted(table.schema, rows.order(order).to_arrow_reader(ROW_GROUP))
            size = store.write_batches(group.path, table.schema, counted)
        finally:
            connection.close()
    count = sum(file.rows for file in group.files)
    if counted.rows != count:
        store.delete(group.path)
        raise StateError(f"{group.files[0].path} and others have {counted.rows} rows and should have {count}")
    fault("before the listing")
    made = DataFile(table.name, group.path, group.files[0].first, group.files[-1].last, count, size)
    done = False

    def change(before: Listing) -> Listing:
        nonlocal done
        old = set(group.files)
        if not old <= set(before.files):
            return before
        done = True
        now_ms = int(time.time() * 1000)
        files = tuple(sorted((*(set(before.files) - old), made), key=lambda file: (file.first, file.table, file.path)))
        replaced = (*before.replaced, *(Replaced(file.path, now_ms) for file in group.files))
        return replace(before, files=files, replaced=replaced)

    catalogue.update(store, group.listing.topic, group.listing.partition, change)
    fault("after the listing")
    return done


class _Counted:
    """Batches in the types of a schema, counted as they go by."""

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            arrays = [batch.column(field.name).cast(field.type) for field in self._schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def _date_of(file: DataFile) -> str:
    return file.path.split("/")[1].removeprefix("date=")
