"""Compaction changes no row, however it is interrupted, and no reader sees a row twice or not at all."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from lake import catalogue
from lake.catalogue import DataFile, Listing
from lake.compact import compact, groups, sweep
from lake.lake_tables import TAG_CHANGES
from lake.reading_lake import relation
from lake.store import LakeStore

TOPIC = "segments.changes"


class KilledError(Exception):
    """In the place of a SIGKILL."""


def chunk(store: LakeStore, partition: int, rows: int, dates: tuple[str, ...] = ("2026-11-01",)) -> None:
    """Append messages to a partition, as the lake stage does: every date gets its share of them."""
    start = catalogue.read(store, TOPIC, partition).end
    files = []
    for number, date in enumerate(dates):
        offsets = list(range(start + number, start + rows, len(dates)))
        made = [
            (f"one-{offset % 7}", "vip", "entered", 0, "rfm", 1, ["e"], TOPIC, partition, offset, 0)
            for offset in offsets
        ]
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(zip(*made, strict=True), TAG_CHANGES.schema, strict=True)
        ]
        path = catalogue.data_path("tags", date, TOPIC, partition, start, start + rows - 1)
        size = store.write_table(path, pa.Table.from_arrays(arrays, schema=TAG_CHANGES.schema).sort_by("one_id"))
        files.append(DataFile("tags", path, start, start + rows - 1, len(made), size))

    def change(before: Listing) -> Listing:
        return replace(before, end=start + rows, files=(*before.files, *files))

    catalogue.update(store, TOPIC, partition, change)


def offsets(store: LakeStore, listings: list[Listing]) -> list[tuple[int, int]]:
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = relation(connection, store, listings, TAG_CHANGES)
        return sorted(rows.project('"partition", "offset"').fetchall())


def expected(listings: list[Listing]) -> list[tuple[int, int]]:
    return [(each.partition, offset) for each in listings for offset in range(each.end)]


def dying(at: str, number: int) -> Callable[[str], None]:
    left = [number]

    def fault(point: str) -> None:
        if point == at:
            left[0] -= 1
            if not left[0]:
                raise KilledError

    return fault


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("chunk"), st.integers(0, 1), st.integers(2, 30)),
        st.tuples(
            st.just("compact"), st.sampled_from(["", "before the file", "before the listing", "after the listing"])
        ),
        st.tuples(st.just("sweep"), st.sampled_from([0, 3600])),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(OPS, st.integers(1_500, 1 << 27))
def test_every_row_stays_and_none_is_doubled(
    tmp_path_factory: pytest.TempPathFactory, ops: list[tuple[object, ...]], target: int
) -> None:
    store = LakeStore(str(tmp_path_factory.mktemp("lake")))
    for op in ops:
        match op:
            case ("chunk", int(partition), int(rows)):
                chunk(store, partition, rows, ("2026-11-01", "2026-11-02"))
            case ("compact", str(at)):
                try:
                    compact(store, groups(catalogue.read_all(store), target_bytes=target), fault=dying(at, 1))
                except KilledError:
                    assert at
            case ("sweep", int(grace)):
                sweep(store, grace)
        listings = catalogue.read_all(store)
        assert offsets(store, listings) == expected(listings)
    sweep(store, 0)
    listed = {file.path for listing in catalogue.read_all(store) for file in listing.files}
    assert {info.path for info in store.each("tags")} == listed


def test_readers_and_the_stage_are_not_disturbed(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path))
    chunk(store, 0, 10)
    running, failures, reads = [True], [], [0]

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while running[0]:
                    work()
            except BaseException as error:
                failures.append(error)

        return run

    def read() -> None:
        listings = catalogue.read_all(store)
        time.sleep(0.002)
        assert offsets(store, listings) == expected(listings)
        reads[0] += 1

    def tidy() -> None:
        compact(store, groups(catalogue.read_all(store)))
        sweep(store, 20)

    threads = [threading.Thread(target=guarded(work)) for work in (read, read, tidy)]
    for thread in threads:
        thread.start()
    for number in range(150):
        chunk(store, number % 3, 5)
        time.sleep(0.01)
    running[0] = False
    for thread in threads:
        thread.join()
    assert failures == []
    assert reads[0] > 20
    compact(store, groups(catalogue.read_all(store)))
    listings = catalogue.read_all(store)
    assert [len(listing.files) for listing in listings] == [1, 1, 1]
    assert offsets(store, listings) == expected(listings)


def test_a_column_that_came_later_is_null_in_the_files_before_it(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path))
    chunk(store, 0, 5)
    (old,) = catalogue.read_all(store)[0].files
    path = tmp_path / old.path
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["evidence"]), path)
    with duckdb.connect() as connection:
        alone = relation(connection, store, catalogue.read_all(store), TAG_CHANGES)
        assert alone.filter("evidence IS NULL").count("*").fetchall() == [(5,)]
    chunk(store, 0, 4)
    for _ in range(2):
        with duckdb.connect() as connection:
            rows = relation(connection, store, catalogue.read_all(store), TAG_CHANGES)
            assert rows.columns == TAG_CHANGES.schema.names
            assert rows.filter("evidence IS NULL").count("*").fetchall() == [(5,)]
            assert rows.filter("evidence = ['e']").count("*").fetchall() == [(4,)]
        compact(store, groups(catalogue.read_all(store)))
    assert len(catalogue.read_all(store)[0].files) == 1


def test_files_of_the_target_size_are_left_alone_and_what_is_young_is_not_swept(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path))
    for _ in range(4):
        chunk(store, 0, 50)
    listings = catalogue.read_all(store)
    assert groups(listings, target_bytes=1) == []
    assert groups(listings, least=5) == []
    (group,) = groups(listings)
    compact(store, [group])
    (tmp_path / "tags" / "date=2026-11-01" / f"{TOPIC}-0-000000000200-000000000300.parquet").write_bytes(
        b"a chunk being written"
    )
    assert sweep(store, 3600) == []
    time.sleep(0.01)
    assert len(sweep(store, 0)) == 5
    assert compact(store, [group]).groups == 0  # its files are gone from the listing
