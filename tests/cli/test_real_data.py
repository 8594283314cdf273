"""`kith replay` on real tables through the example mapping files gives the counts that the tables are known to have."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from tests.differential.compare import read_rows

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def replayed(out: Path, mapping: str, *files: str) -> dict[str, Any]:
    if not DATA.is_dir():
        pytest.skip(f"the real data is not here ({DATA}): {mapping} is not checked")
    paths = [str(DATA / file) for file in files]
    arguments = ["replay", *paths, "--map", str(ROOT / "docs" / "maps" / mapping), "--out", str(out), "--quiet"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_cdnow_keeps_orders_of_one_day_apart(tmp_path: Path) -> None:
    summary = replayed(tmp_path / "out", "cdnow.yaml", "cdnow/CDNOW_sample.txt")
    assert (summary["people"], summary["orders"], summary["duplicates"]) == (2357, 6919, 0)
    profiles = read_rows(tmp_path / "out" / "profiles.parquet")
    cents = [round(float(line.split()[4]) * 100) for line in (DATA / "cdnow/CDNOW_sample.txt").read_text().splitlines()]
    assert sum(row["revenue_minor"] for row in profiles) == sum(cents)
    assert sum(row["orders"] for row in profiles) == 6919
    assert {row["currency"] for row in profiles} == {"USD"}


def test_olist_customers_become_people_by_their_unique_id(tmp_path: Path) -> None:
    tables = ("olist_sample8k/src_olist_customers_dataset.csv", "olist_sample8k/src_olist_orders_dataset.csv")
    summary = replayed(tmp_path / "out", "olist.yaml", *tables)
    assert summary["people"] == 7969
    identities = read_rows(tmp_path / "out" / "identities.parquet")
    assert sum(row["kind"] == "external_id" for row in identities) == 8000


def test_online_retail_counts_orders_cancellations_and_rows_without_a_customer(tmp_path: Path) -> None:
    days = [f"online_retail_days/{day}.csv" for day in ("2010-12-01", "2011-04-05", "2011-12-09")]
    summary = replayed(tmp_path / "out", "online_retail.yaml", *days)
    assert summary["events_by_type"] == {"custom.invoice_cancelled": 25, "order.paid": 208}
    assert summary["deadletters_by_reason"] == {"no_identifier": 29}
    assert summary["orders"] == 208


def test_rees46_rows_that_repeat_are_duplicates(tmp_path: Path) -> None:
    summary = replayed(tmp_path / "out", "rees46.yaml", "rees46_electronics/duplicates.csv")
    rows = (DATA / "rees46_electronics/duplicates.csv").read_text().splitlines()[1:]
    assert summary["lines"] == len(rows)
    assert summary["events"] == len(set(rows))
    assert summary["duplicates"] == len(rows) - len(set(rows))
    assert summary["people"] == 570
