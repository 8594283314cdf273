"""Parquet files whose rows are events."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.opening import Progress
from ingest.sources import read
from schemas.errors import ConfigError
from schemas.event import Rejected

IDENTIFIERS = pa.map_(pa.string(), pa.list_(pa.string()))


def written(folder: Path, **columns: Any) -> str:
    path = folder / "events.parquet"
    pq.write_table(pa.table({"id": ["e1"], "type": ["page.viewed"]} | columns), path)
    return str(path)


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        (pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")), "2020-01-01T00:00:00+00:00"),
        (pa.array([datetime(2020, 1, 1)], pa.timestamp("ns")), "2020-01-01T00:00:00Z"),
        ([1577836800000], 1577836800000),
        (["2020-01-01T08:00:00+08:00"], "2020-01-01T08:00:00+08:00"),
    ],
)
def test_a_time_may_be_a_timestamp_a_number_or_a_text(tmp_path: Path, time: Any, wanted: Any) -> None:
    (line,) = read(written(tmp_path, time=time))
    assert json.loads(line.event)["time"] == wanted  # type: ignore[arg-type]
    assert line.number == 1


@pytest.mark.parametrize(
    ("identifiers", "data"),
    [
        ([{"email": ["a@b.cn"]}], [{"url": "/", "price": 0.1}]),
        (pa.array([[("email", ["a@b.cn"])]], IDENTIFIERS), ['{"url":"/","price":0.1}']),
        (['{"email": ["a@b.cn"]}'], pa.array([[("url", "/"), ("price", "0.1")]], pa.map_(pa.string(), pa.string()))),
    ],
)
def test_identifiers_and_data_may_be_structs_maps_or_json(tmp_path: Path, identifiers: Any, data: Any) -> None:
    (line,) = read(written(tmp_path, time=[0], identifiers=identifiers, data=data, extra=[None]))
    event = json.loads(line.event)  # type: ignore[arg-type]
    assert event["identifiers"] == {"email": ["a@b.cn"]}
    assert event["data"]["url"] == "/"
    assert str(event["data"]["price"]) == "0.1"
    assert "extra" not in event


@pytest.mark.parametrize("text", ['{"url":', '{"a":1},"id":"x"', '{"a":NaN}', "[" * 5000, '{"a":1}}'])
def test_text_that_is_not_json_cannot_change_the_event(tmp_path: Path, text: str) -> None:
    (line,) = read(written(tmp_path, time=[0], data=[text]))
    assert isinstance(line.event, Rejected)
    assert line.event.reason == "not_json"
    assert json.loads(line.raw)["data"] == text


def test_what_is_no_event_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no column time"):
        list(read(written(tmp_path)))
    path = tmp_path / "events.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="cannot be read whole"):
        list(read(str(path)))
    path.write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read whole"):
        list(read(str(path)))


def test_broken_pages_are_an_error(tmp_path: Path) -> None:
    path = Path(written(tmp_path, time=[0], data=["x" * 5000]))
    data = bytearray(path.read_bytes())
    for place in range(4, 60):
        data[place] = 0xFF
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="cannot be read whole"):
        list(read(str(path)))


def test_an_empty_table_has_no_events(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([], pa.string()), "type": [], "time": []}), tmp_path / "e")
    assert list(read(str(tmp_path / "e"))) == []


def test_progress_counts_rows_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "e"
    pq.write_table(pa.table({"id": ["x"] * 5000, "type": ["t"] * 5000, "time": [0] * 5000}), path)
    progress = Progress(path.stat().st_size)
    assert sum(1 for _ in read(str(path), progress=progress)) == 5000
    assert 0.9 * progress.total < progress.done <= 1.1 * progress.total
