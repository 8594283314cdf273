"""What one of all workers does now and then."""

import threading
import time
from pathlib import Path

from schemas.settings import Settings
from stream.audit_schedule import audit_schedule
from stream.metrics import Metrics
from stream.schedule import Ended, Schedule
from stream.snapshot_schedule import snapshot_schedule
from tests.lake.audit_lake import SmallLake
from tests.live.test_equal import lines_of
from tests.live.test_export import in_order, once
from tests.stream.test_metrics import values


def test_only_whose_turn_it_is_runs_it_and_never_two_at_once() -> None:
    mine, ended = threading.Event(), []
    schedule = Schedule("help", 0.05, ["--help"], mine.is_set, ended.append, 60)
    schedule.start()
    time.sleep(0.3)
    assert ended == []
    mine.set()
    deadline = time.monotonic() + 60
    while len(ended) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    schedule.stop()
    assert {each.code for each in ended} == {0}
    assert "Usage: kith" in ended[0].said.replace("python -m cli.main", "kith")


def test_one_that_takes_too_long_is_given_up_and_one_under_way_ends_with_the_worker() -> None:
    ended: list[Ended] = []
    arguments = ["verify", "--wait", "60", "--lake", "nowhere"]
    Schedule("slow", 1, arguments, lambda: True, ended.append, 0.5).run_once()
    assert ended == []
    schedule = Schedule("slow", 0.01, arguments, lambda: True, ended.append, 60)
    schedule.start()
    time.sleep(1)
    began = time.monotonic()
    schedule.stop()
    assert time.monotonic() - began < 5
    assert ended == []


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"partitions": 3},
            "worker": {"data": str(folder)},
            "audit": {"every": "1h", "sample": 5},
            "snapshots": {"every": "1h", "keep": 2},
        }
    )


def test_a_snapshot_and_an_audit_are_made_and_told(tmp_path: Path) -> None:
    settings, metrics = settings_of(tmp_path), Metrics()
    lake = SmallLake(settings)
    lake.publish(in_order(once(lines_of(10, 60, seed=5))))
    lake.write(tmp_path / "lake")
    url = str(tmp_path / "lake")
    for schedule in (
        snapshot_schedule(settings, url, tmp_path, metrics, lambda: True),
        audit_schedule(settings, url, "events", tmp_path, metrics, lambda: True),
    ):
        assert schedule is not None
        schedule.run_once()
    found = values(metrics)
    assert found["kith_snapshots_total", "made"] == 1
    assert found["kith_snapshot_people",] >= 10
    assert abs(found["kith_snapshot_time_seconds",] - time.time()) < 60
    assert found["kith_audit_people",] == 5
    assert (tmp_path / "snapshots" / "latest" / "kith.duckdb").is_file()


def test_one_that_cannot_be_made_is_counted(tmp_path: Path) -> None:
    settings, metrics = settings_of(tmp_path), Metrics()
    schedule = snapshot_schedule(settings, str(tmp_path / "nothing"), tmp_path, metrics, lambda: True)
    assert schedule is not None
    schedule.run_once()
    assert values(metrics)["kith_snapshots_total", "failed"] == 1


def test_without_a_time_there_is_no_schedule(tmp_path: Path) -> None:
    assert snapshot_schedule(Settings(), "x", tmp_path, Metrics(), lambda: True) is None
    assert audit_schedule(Settings(), "x", "live", tmp_path, Metrics(), lambda: True) is None
    assert list(tmp_path.iterdir()) == []
