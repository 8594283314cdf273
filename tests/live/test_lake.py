"""The lake has every message of its topics exactly once, however its workers end and whoever writes."""

import random
import signal
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from bench.crash import shop
from bench.pipeline import LivePipeline
from lake import catalogue
from lake.lake_tables import BY_NAME
from lake.rows import TOPICS, TRIGGERS
from lake.store import LakeStore
from schemas.settings import Settings
from stream.broker import Broker
from stream.connection import Connection
from stream.lag import Lag
from stream.reading import read_topics
from stream.wire import decode
from tests.live.running import wait

ODD = ("-m", "tests.live.odd_worker")
POINTS = ("before a file", "before the listing", "after the listing")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    lake = settings.lake.model_copy(update={"rows": 40, "every": "1s"})
    return settings.model_copy(update={"lake": lake})


def store_of(settings: Settings) -> LakeStore:
    return LakeStore(str(Path(settings.worker.data) / "lake"))


def in_kafka(connection: Connection) -> set[tuple[str, int, int]]:
    """What the lake is to hold: topic, partition and offset of each message."""
    broker = Broker(connection)
    names = [connection.bare(name) for name in broker.topics() if name.startswith(connection.prefix)]
    broker.close()
    found = set()
    for messages in read_topics(connection, [name for name in names if name in TOPICS or name.startswith(TRIGGERS)]):
        for message in messages:
            topic = connection.bare(message.topic() or "")
            # Of the requests only a steward's commands, which are addressed to nobody.
            if topic == "identity.requests" and decode(message.value() or b"").event.idents:  # type: ignore[union-attr]
                continue
            found.add((topic, int(message.partition() or 0), int(message.offset() or 0)))
    return found


def in_lake(settings: Settings) -> list[tuple[str, int, int]]:
    """Topic, partition and offset of every row that counts."""
    store = store_of(settings)
    found: list[tuple[str, int, int]] = []
    for listing in catalogue.read_all(store):
        for file in listing.files:
            assert file.last < listing.end
            table = pq.read_table(store.full(file.path), partitioning=None)
            assert table.schema.equals(BY_NAME[file.table].schema)
            assert table.num_rows == file.rows
            rows = table.select(["topic", "partition", "offset"]).to_pylist()
            assert all(file.first <= row["offset"] <= file.last for row in rows)
            found += [(row["topic"], row["partition"], row["offset"]) for row in rows]
    return found


def check(settings: Settings, connection: Connection) -> None:
    expected, found = in_kafka(connection), in_lake(settings)
    assert len(found) == len(set(found)), "doubled"
    assert set(found) == expected


def filled(live: LivePipeline, events: int, seed: int) -> None:
    """Let all stages but the lake work events off."""
    worker = live.start_worker("identify,resolve,profile,control")
    live.publish(shop(events, seed))
    live.wait()
    live.advance("2027-06-01T00:00:00Z")
    live.wait()
    live.stop_worker(worker)


def lake_lag(connection: Connection) -> int:
    lag = Lag(connection)
    try:
        return lag.lake().lag
    finally:
        lag.close()


def test_killed_at_every_point_it_has_each_message_once(
    settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    r = random.Random(3)
    # The next one waits for the partitions of one that died until its session is over.
    settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"session_timeout": "3s"})})
    with LivePipeline(settings, tmp_path / "live") as live:
        filled(live, 1_000, seed=8)
        died = 0
        for number in range(6):
            point = POINTS[number % 3]
            fault = f"dies:{point}:{r.randint(1, 8)}"
            worker = live.start_worker("lake", program=(*ODD, fault))
            wait(lambda: worker.poll() is not None or lake_lag(connection) == 0, 60)  # noqa: B023
            died += worker.poll() is not None
            worker.kill()  # where there was less to write than that
            assert worker.wait(60) == -signal.SIGKILL, live.tail()
            live.workers.remove(worker)
            found = in_lake(settings)
            assert len(found) == len(set(found))
        live.start_worker("lake")
        wait(lambda: lake_lag(connection) == 0, 60)
    assert died >= 3
    check(settings, connection)


def test_workers_that_come_go_and_wake_as_zombies_write_each_message_once(
    settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    with LivePipeline(settings, tmp_path / "live") as live:
        filled(live, 2_000, seed=9)
        first, second = live.start_worker("lake"), live.start_worker("lake")
        time.sleep(2)
        first.send_signal(signal.SIGSTOP)
        live.start_worker("identify,resolve,profile,control")
        live.publish(shop(1_000, seed=10))
        time.sleep(8)  # more than the session: its partitions go to the other one
        first.send_signal(signal.SIGCONT)
        time.sleep(1)
        live.stop_worker(second)
        live.start_worker("lake")
        live.wait()
        assert "starts anew" not in live.log.read_text()
    check(settings, connection)


def test_a_lake_that_cannot_be_written_loses_nothing_and_stops_nobody(
    settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file where the lake's folder should be")
    lake = settings.lake.model_copy(update={"url": str(tmp_path / "blocked" / "lake")})
    settings = settings.model_copy(update={"lake": lake})
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker()
        live.publish(shop(300, seed=11))
        wait(lambda: "tried again" in live.tail(), 60)
        lag = Lag(connection)
        wait(lambda: not lag.left(lag.look()), 60)  # all other stages go on
        lag.close()
        (tmp_path / "blocked").unlink()
        live.wait()
        moved = LakeStore(lake.url or "")
        rows = sum(file.rows for listing in catalogue.read_all(moved) for file in listing.files)
    assert rows == len(in_kafka(connection))


def test_what_is_written_can_be_read_in_sql(settings: Settings, connection: Connection, tmp_path: Path) -> None:
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker()
        live.publish(shop(300, seed=12))
        live.wait()
        out = live.export(tmp_path / "exported")
    store = store_of(settings)
    listings = catalogue.read_all(store)
    files = {
        name: [store.full(file.path) for _, file in catalogue.files(listings, name)] for name in ("profiles", "events")
    }
    newest = duckdb.sql(
        """
        SELECT * EXCLUDE (gone, identifiers, topic, "partition", "offset", written_at, "date")
        FROM read_parquet(?, hive_partitioning = true)
        QUALIFY row_number() OVER (PARTITION BY one_id ORDER BY "offset" DESC) = 1 AND NOT gone ORDER BY one_id
        """,
        params=[files["profiles"]],
    ).to_arrow_table()
    exported = pq.read_table(out / "profiles.parquet").sort_by("one_id")
    assert newest.num_rows == exported.num_rows
    # Not what changes with time: a profile is as of when it was published.
    for name in ("events", "first_seen", "orders", "revenue_minor", "first_order_at", "last_viewed", "carts", "points"):
        assert newest.column(name).to_pylist() == exported.column(name).to_pylist(), name
    [(events,)] = duckdb.execute(
        "SELECT count(DISTINCT (event_id, part)) FROM read_parquet(?)", [files["events"]]
    ).fetchall()
    assert events >= pq.read_metadata(out / "events.parquet").num_rows
