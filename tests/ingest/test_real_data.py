"""The example maps on the real data they were written for, where that lies beside the repository."""

from collections import Counter
from pathlib import Path

import pytest

from ingest.mapping import load
from ingest.order import EventSorter, Refused
from ingest.sources import read
from schemas.errors import InvalidEvent
from schemas.event import Event, Rejected
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


def replayed(name: str, *files: str) -> tuple[list[Event], Counter[str]]:
    """Return the events in order, and how many lines were refused and why."""
    if not DATA.is_dir():
        pytest.skip(f"the real data is not here ({DATA}): counts of {name} are not checked")
    mappings = load(str(ROOT / "docs" / "maps" / f"{name}.yaml"))
    counts: Counter[str] = Counter()
    with EventSorter(Settings()) as sorter:
        for source, file in enumerate(files):
            for line in read(str(DATA / file), mappings):
                counts["lines"] += 1
                if isinstance(line.event, Rejected):
                    counts[line.event.reason] += 1
                    continue
                try:
                    sorter.add(line.event, source, line.number, line.raw)
                except InvalidEvent as error:
                    counts[error.reason] += 1
        refused: list[Refused] = []
        events = list(sorter.sorted(None, refused.append))
        counts.update(one.why.reason for one in refused)
        counts["duplicates"], counts["conflicts"] = sorter.duplicates, sorter.conflicts
    return events, +counts


def people(events: list[Event]) -> int:
    return len({event.idents[0] for event in events})


def test_cdnow_keeps_equal_orders_of_one_day_apart() -> None:
    events, counts = replayed("cdnow", "cdnow/CDNOW_sample.txt")
    assert (len(events), people(events), counts) == (6919, 2357, Counter(lines=6919))
    assert len({event.data.order_id for event in events}) == 6919
    same_day = Counter((event.idents, event.time_ms) for event in events)
    assert max(same_day.values()) > 1
    raw = [row.split() for row in (DATA / "cdnow/CDNOW_sample.txt").read_text().splitlines()]
    assert sum(event.data.amount for event in events) == sum(round(float(row[4]) * 100) for row in raw)


def test_online_retail_groups_invoices_and_refuses_those_of_nobody() -> None:
    days = [f"online_retail_days/{day}.csv" for day in ("2010-12-01", "2011-04-05", "2011-12-09")]
    events, counts = replayed("online_retail", *days)
    assert counts == Counter(lines=262, no_identifier=29)
    assert Counter(event.type for event in events) == {"order.paid": 208, "custom.invoice_cancelled": 25}
    first = next(event for event in events if event.data.order_id == "536365")
    assert (len(first.data.items), first.data.amount, first.data.currency) == (7, 13912, "GBP")
    assert first.idents == ("external_id:17850",)


def test_olist_customers_are_fewer_people_than_customer_ids() -> None:
    events, counts = replayed("olist", "olist_sample8k/src_olist_customers_dataset.csv")
    assert (len(events), people(events), counts) == (8000, 7969, Counter(lines=8000))
    assert len({event.idents[1] for event in events}) == 8000


def test_olist_orders_tell_of_several_events() -> None:
    events, counts = replayed("olist", "olist_sample8k/src_olist_orders_dataset.csv")
    assert counts == Counter(lines=15859)
    assert Counter(event.type for event in events) == {
        "order.paid": 7979,
        "order.delivered": 7773,
        "order.cancelled": 107,
    }


def test_rees46_repetitions_are_duplicates() -> None:
    events, counts = replayed("rees46", "rees46_electronics/duplicates.csv")
    rows = (DATA / "rees46_electronics/duplicates.csv").read_text().splitlines()[1:]
    assert (counts["lines"], len(rows)) == (1284, 1284)
    assert (len(events), counts["duplicates"]) == (len(set(rows)), 1284 - len(set(rows)))
    assert people(events) == 570
    assert counts["conflicts"] == 0
