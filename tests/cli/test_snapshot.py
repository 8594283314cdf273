"""`kith snapshot` as one calls it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from lake.snapshot_series import next_of_series
from schemas.settings import Settings
from tests.lake.audit_lake import SmallLake
from tests.live.test_equal import lines_of
from tests.live.test_export import in_order, once


def kith(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["snapshot", *arguments], env={"KITH_KAFKA__PARTITIONS": "3"})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("snapshot") / "lake"
    small = SmallLake(Settings.model_validate({"kafka": {"partitions": 3}}))
    small.publish(in_order(once(lines_of(8, 60, seed=5))))
    small.write(folder)
    return str(folder)


def test_it_prints_what_there_is_and_as_of_when(lake: str, tmp_path: Path) -> None:
    done = kith("--lake", lake, "--out", str(tmp_path / "out"), "--processes", "1")
    assert done.exit_code == 0, done.output
    assert "people" in done.stdout
    assert f"written to {tmp_path / 'out'}" in done.stdout
    assert (tmp_path / "out" / "people.parquet").is_file()


def test_a_series_for_machines(lake: str, tmp_path: Path) -> None:
    where = ("--lake", lake, "--series", str(tmp_path / "all"))
    done = kith(*where, "--keep", "1", "--json", "--quiet", "--processes", "1")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert Path(summary["folder"]) == (tmp_path / "all" / "latest").resolve()
    with next_of_series(tmp_path / "all"):
        done = kith(*where)
    assert done.exit_code == 1
    assert "another snapshot of this series is being made" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--out"),
        (("--out", "a", "--series", "b"), "--series"),
        (("--out", "a", "--keep", "3"), "--keep: goes with --series"),
        (("--out", "a", "--as-of", "yesterday"), "--as-of"),
    ],
)
def test_wrong_words_end_with_2(arguments: tuple[str, ...], word: str, lake: str) -> None:
    done = kith("--lake", lake, *arguments)
    assert done.exit_code == 2
    assert word in done.stderr


def test_a_lake_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = kith("--lake", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "is a worker running with the lake on?" in done.stderr
    assert not (tmp_path / "out").exists()
