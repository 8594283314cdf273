"""Readers that are not ours read the lake as docs/lake.md says: its own snippets, run as they stand there."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake import catalogue
from lake.catalogue import DataFile, Listing
from lake.lake_tables import EVENTS
from lake.store import LakeStore
from tests.docs.lake_page import PAGE, page
from tests.lake.test_compact import chunk

TYPES = ["order.paid", "page.viewed", "cart.added"]


def events(store: LakeStore, partition: int, rows: int) -> None:
    """Append events to a partition, as the lake stage does."""
    topic = "events.identified"
    start = catalogue.read(store, topic, partition).end
    made = []
    for offset in range(start, start + rows):
        row: dict[str, Any] = dict.fromkeys(EVENTS.schema.names)
        row |= {
            "event_id": f"{partition}-{offset}",
            "type": TYPES[offset % 3],
            "time": offset,
            "one_id": f"{offset % 5}",
        }
        row |= {"identifiers": ["phone:1"], "topic": topic, "partition": partition, "offset": offset, "written_at": 0}
        made.append(row)
    last = start + rows - 1
    path = catalogue.data_path("events", "2026-11-01", topic, partition, start, last)
    size = store.write_table(path, pa.Table.from_pylist(made, schema=EVENTS.schema))
    file = DataFile("events", path, start, last, rows, size)
    catalogue.update(store, topic, partition, lambda old: Listing(topic, partition, last + 1, 0, (*old.files, file)))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeStore:
    """A lake at the place that the page names, with a file beside it that no listing names."""
    store = LakeStore(str(tmp_path / "kith-data" / "lake"))
    for partition, rows in ((0, 30), (1, 12), (0, 6)):
        events(store, partition, rows)
        chunk(store, partition, rows)
    for path in ("events/date=2026-11-01", "tags/date=2026-11-01"):
        folder = Path(store.full(path))
        source = next(folder.glob("*.parquet"))
        (folder / source.name.replace("-0-0", "-7-0")).write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    return store


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_tells_every_table_and_column() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.docs.lake_page"


@pytest.mark.usefixtures("lake")
def test_polars_and_pandas(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    first, polars, pandas = snippets("python")
    exec(first, names)
    exec(polars, names)
    exec(pandas, names)
    assert len(names["files"]("events")) == 3
    counted = names["events"].collect()
    assert counted.height == 48
    assert set(counted["type"]) == set(TYPES)
    assert sorted(names["tags"]["offset"]) == sorted([*range(36), *range(12)])
    assert "order.paid" in capsys.readouterr().out


@pytest.mark.usefixtures("lake")
def test_duckdb() -> None:
    (sql,) = snippets("sql")
    with duckdb.connect() as connection:
        rows = connection.execute(sql).fetchall()
    assert rows == [("cart.added", 16), ("order.paid", 16), ("page.viewed", 16)]
