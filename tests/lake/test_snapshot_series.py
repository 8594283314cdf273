"""A series of snapshots in one folder."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.snapshot_series import next_of_series, series
from lake.writer import FINISHED
from schemas.errors import TransientError

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def make(folder: Path, keep: int | None = None, now: datetime = NOON) -> Path:
    with next_of_series(folder, keep, now) as place:
        place.mkdir()
        (place / FINISHED).write_text("{}")
    return place


def test_each_has_a_folder_named_by_its_time_and_latest_leads_to_the_newest(tmp_path: Path) -> None:
    made = [make(tmp_path, now=NOON.replace(minute=minute)) for minute in (0, 1)] + [make(tmp_path, now=NOON)]
    assert [path.name for path in made] == ["20261130T120000Z", "20261130T120100Z", "20261130T120000Z-1"]
    assert (tmp_path / "latest").resolve() == made[-1].resolve()
    assert series(tmp_path) == [made[0], made[2], made[1]]


def test_the_last_ones_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "20200101T000000Z").mkdir()  # somebody's folder that is no snapshot
    for minute in range(4):
        make(tmp_path, keep=2, now=NOON.replace(minute=minute))
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "20200101T000000Z",
        "20261130T120200Z",
        "20261130T120300Z",
        "latest",
        "notes.txt",
    ]


def test_one_that_fails_leaves_the_series_as_it_was(tmp_path: Path) -> None:
    first = make(tmp_path, keep=1)
    with pytest.raises(RuntimeError), next_of_series(tmp_path, 1, NOON.replace(minute=5)):
        raise RuntimeError("disk full")
    assert series(tmp_path) == [first]
    assert (tmp_path / "latest").resolve() == first.resolve()


def hold(folder: Path, begun: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event") -> None:
    with next_of_series(folder):
        begun.set()
        end.wait(30)


def test_never_two_at_once_also_of_two_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, begun, end))
    other.start()
    try:
        assert begun.wait(30)
        with (
            pytest.raises(TransientError, match="another snapshot of this series is being made"),
            next_of_series(tmp_path),
        ):
            raise AssertionError("two at once")
        other.kill()  # however it ends, the next one can begin
        other.join()
        make(tmp_path)
    finally:
        other.kill()
        other.join()
