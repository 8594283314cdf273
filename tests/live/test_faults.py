"""What goes wrong around the pipeline: the network, the disk, the messages, the number of workers, the time.

Afterwards everything is as the replay has it, and what cannot be worked off is a dead letter.
"""

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from bench.crash import CrashRun, Progress, check, shop
from bench.pipeline import LivePipeline, differences
from bench.proxy import Proxy, proxied
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from stream.connection import Connection
from stream.dead_letters import decode as letter_of
from stream.lag import Lag
from stream.lag import wait as wait_for_lag
from stream.replay import replay
from tests.live.running import read, wait

pytestmark = pytest.mark.alone  # it measures times

ODD = ("-m", "tests.live.odd_worker")
DAY_MS = 86_400_000


def replayed(lines: list[bytes], folder: Path, settings: Settings) -> tuple[Path, str]:
    """The tables that a replay writes, and until when it went."""
    source = folder / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    return folder / "replayed", replay([str(source)], folder / "replayed", settings)["until"]


# The network


def test_a_cut_connection_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with Proxy() as proxy, proxied(tmp_path / "kafka", proxy):
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": proxy.bootstrap, "partitions": 3, "replication": 1},
                "worker": {"data": str(tmp_path / "data"), "batch": 50, "api": {"port": 0}},
            }
        )
        run = CrashRun(settings, kafka=None, folder=tmp_path, seed=4, proxy=proxy)
        assert run.go(events=3_000, kills=2, what=["cut", "silent"]) == []
    assert run.done == {"cut": 1, "silent": 1}


# The broker


def test_triggers_fire_in_time_and_waiting_goes_on_after_kafka_was_started_again(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka", guarded=True) as kafka:
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": kafka.bootstrap, "partitions": 3, "replication": 1},
                "worker": {"data": str(tmp_path / "data"), "api": {"port": 0}},
                "triggers": {"quiet_hours": "off", "cap": "off"},
            }
        )
        connection = Connection(settings.kafka)
        with LivePipeline(settings, tmp_path / "live", clock="live") as live, ThreadPoolExecutor() as pool:
            send(connection, "events.customer", consent("A", now_ms() - 3 * DAY_MS))
            waiting = pool.submit(wait_for_lag, connection, 90)
            time.sleep(1)
            kafka.restart()
            live.start_worker()
            waiting.result()
            with listening(connection, "triggers.cart-abandon") as reminders:
                due_ms = now_ms() + 15_000
                send(connection, "events.customer", cart("A", due_ms - DAY_MS))
                live.wait()
                went_s = time.time()
                assert kafka.restart() == settings.kafka.brokers
                back_s = time.time()
                wait(lambda: reminders.of("cart-A"), 60)
            came_s = reminders.of("cart-A")[0][0]
            assert 0 <= came_s - due_ms / 1000 < 15  # not after the next look for leaders
            # Members whose session ended meanwhile join anew, and the group waits a session for their former selves.
            session_over = back_s - went_s > 5
            assert session_over or came_s - max(due_ms / 1000, back_s) < 5


# The disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_worker_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    settings: Settings, tmp_path: Path, small_disk: Path
) -> None:
    settings = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"data": str(small_disk), "batch": 200})}
    )
    lines = shop(6_000, seed=6)
    expected, until = replayed(lines, tmp_path, settings)
    filler = small_disk / "filler"
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker(program=(*ODD, "small-store"))
        live.publish(lines[:2_000])
        live.wait()
        fill(filler)
        live.publish(lines[2_000:])
        wait(lambda: "is full" in live.tail(), 60)
        filler.unlink()
        live.wait()
        live.advance(until)
        found = live.export(tmp_path / "exported")
        assert "make room and start again" in live.log.read_text()
        assert "cannot be worked off" not in live.log.read_text()  # the events are not to blame
    assert check(expected, found) == []


def fill(path: Path) -> None:
    """Write until there is no room any more."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


# The messages


def line(event_id: str, kind: str, at_ms: int, member: str, data: dict[str, Any] | None = None) -> bytes:
    event = {"id": event_id, "type": kind, "time": at_ms, "source": "test", "identifiers": {"member_id": member}}
    return json.dumps(event | ({} if data is None else {"data": data})).encode()


def test_what_cannot_be_worked_off_is_a_dead_letter_and_the_rest_goes_on(
    settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    lines = shop(1_500, seed=8)
    at_ms = 1_780_000_000_000
    known = [line(f"known-{number}", "app.opened", at_ms, f"K{number:07}") for number in range(3)]
    expected, until = replayed([*lines, *known], tmp_path, settings)
    breaking = {
        "identify": line("breaks-identify", "app.opened", at_ms + 1, "K9999991"),
        "resolve": line("breaks-resolve", "app.opened", at_ms + 1, "K9999992"),
        "profile": line("breaks-profile", "app.opened", at_ms + 1, "K0000000"),
    }
    garbage = [b"", b"\xff\xfe\x00", b"{", b'{"message":"clock","to_ms":"soon"}', b"[1,2]", b"x" * 100_000]
    event = {"message": "event", "id": "g", "type": "app.opened", "time_ms": 1, "idents": [], "data": {}}
    forged = [
        {**event, "one_id": "nobody"},  # bounces to the resolver, and breaks it
        {**event, "type": "order.placed", "idents": ["member_id:M1"], "data": 1, "one_id": "nobody"},
        {"message": "part", "step": 1, "one_id": "nobody", "state": "AAAA"},
    ]
    with LivePipeline(settings, tmp_path / "live") as live:
        for _ in range(2):
            live.start_worker(program=(*ODD, "breaks"))
        live.publish([*lines[:700], *known])
        live.wait()
        producer = connection.producer()
        for value in garbage:
            for topic in ("events.order", "identity.requests", "events.identified"):
                producer.produce(connection.topic(topic), value, b"the key", 0)
        for each in forged:
            producer.produce(connection.topic("events.identified"), json.dumps(each), b"the key", 0)
        assert producer.flush(20) == 0
        live.publish([*breaking.values(), *lines[700:]])
        live.wait()
        live.advance(until)
        found = live.export(tmp_path / "exported")
        assert "starts anew" not in live.log.read_text()
        for worker in list(live.workers):
            assert live.stop_worker(worker) == 0
    assert differences(expected, found, ["identities", "profiles"]) == []
    letters = [letter_of(message.value() or b"") for message in read(connection, "events.deadletter")]
    failed = {(letter.source, letter.raw): letter for letter in letters if letter.reason == "failed"}
    for raw in breaking.values():
        assert failed.pop(("events.browse", raw))
    for topic in ("identity.requests", "events.identified"):
        for raw in garbage:
            assert failed.pop((topic, raw)), (topic, raw[:40])
    assert len(failed) == len(forged), failed  # as they were, or as they were sent on
    assert {letter.raw for letter in letters if letter.source == "events.order"} >= set(garbage)


# The number of workers


def test_workers_come_and_go_under_load(
    settings: Settings, connection: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"batch": 20})})
    lines = shop(10_000, seed=9)
    expected, until = replayed(lines, tmp_path, settings)
    with LivePipeline(settings, tmp_path / "live") as live:
        live.start_worker()
        second = live.start_worker()
        progress = Progress(connection)
        live.publish(lines[:500])
        live.wait()
        progress.start()
        publisher = threading.Thread(target=in_pieces, args=(live, lines[500:], 3))
        publisher.start()
        third = live.start_worker()
        wait(lambda: live.log.read_text().count(" runs ") == 3)
        time.sleep(1)
        busy = not progress.idle
        assert live.stop_worker(second) == 0
        assert third.poll() is None
        publisher.join()
        live.wait()
        progress.stop()
        live.advance(until)
        found = live.export(tmp_path / "exported")
        assert "starts anew" not in live.log.read_text()
    with capsys.disabled():
        print(
            f" (longest time without progress {progress.longest_s:.1f} s{'' if busy else ', not under load'})", end=""
        )
    assert check(expected, found) == []
    assert progress.longest_s < 20


def in_pieces(live: LivePipeline, lines: list[bytes], count: int) -> None:
    size = -(-len(lines) // count)
    for start in range(0, len(lines), size):
        live.publish(lines[start : start + size])


# The time


@pytest.fixture
def promptly(settings: Settings) -> Settings:
    """Settings with nothing that makes a trigger wait."""
    general = settings.triggers.model_copy(update={"quiet_hours": "off", "cap": "off"})
    return settings.model_copy(update={"triggers": general})


class Listener:
    """Reads a topic from now on; `seen` is each value with the time at which it came, in epoch s."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.seen: list[tuple[float, dict[str, Any]]] = []
        self._consumer: Consumer = connection.reader()
        name = connection.topic(topic)
        partitions = self._consumer.list_topics(name, 10).topics[name].partitions
        self._consumer.assign([TopicPartition(name, number, 0) for number in partitions])
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def of(self, text: str) -> list[tuple[float, dict[str, Any]]]:
        """What came that says this."""
        return [each for each in self.seen if text in json.dumps(each[1])]

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(100, 0.02):
                if message.error() is None and message.value():
                    self.seen.append((time.time(), json.loads(message.value() or b"")))


@contextmanager
def listening(connection: Connection, topic: str) -> Iterator[Listener]:
    listener = Listener(connection, topic)
    try:
        yield listener
    finally:
        listener.stop()


def send(connection: Connection, topic: str, *values: bytes) -> None:
    producer = connection.producer()
    for value in values:
        producer.produce(connection.topic(topic), value)
    assert producer.flush(20) == 0


def cart(member: str, at_ms: int) -> bytes:
    data = {"sku": "CL-8002", "quantity": 1, "cart_id": f"cart-{member}", "unit_price": "99.00"}
    return line(f"cart-{member}", "cart.added", at_ms, member, data)


def consent(member: str, at_ms: int) -> bytes:
    data = {"purpose": "marketing", "granted": True}
    return line(f"consent-{member}", "customer.consented", at_ms, member, data)


def order(member: str, at_ms: int) -> bytes:
    items = [{"sku": "CL-8002", "quantity": 1, "unit_price": "99.00"}]
    data = {"order_id": f"order-{member}", "items": items, "amount": "99.00", "currency": "CNY"}
    return line(f"order-{member}", "order.placed", at_ms, member, data)


def now_ms() -> int:
    return int(time.time() * 1000)


def test_events_become_profiles_and_triggers_at_once(
    promptly: Settings, connection: Connection, tmp_path: Path
) -> None:
    with LivePipeline(promptly, tmp_path / "live", clock="live") as live:
        live.start_worker()
        send(connection, "events.browse", line("first", "app.opened", now_ms(), "W0000001"))
        with listening(connection, "profiles") as profiles, listening(connection, "triggers.welcome") as welcome:
            wait(lambda: profiles.of("W0000001"))
            delays: dict[str, list[float]] = {"profile": [], "trigger": []}
            for number in range(15):
                member, sent = f"P{number:07}", time.time()
                send(connection, "events.customer", line(f"new-{member}", "customer.identified", now_ms(), member, {}))
                for what, listener in (("profile", profiles), ("trigger", welcome)):
                    wait(lambda: listener.of(member), 10)  # noqa: B023  used before the next round
                    delays[what].append(listener.of(member)[0][0] - sent)
        for what, found in delays.items():
            assert sorted(found)[len(found) // 2] < 1, (what, found)
            assert max(found) < 2, (what, found)


def test_a_cart_reminder_fires_at_its_time_and_not_when_an_order_came_while_no_worker_ran(
    promptly: Settings, connection: Connection, tmp_path: Path
) -> None:
    with (
        LivePipeline(promptly, tmp_path / "live", clock="live") as live,
        listening(connection, "triggers.cart-abandon") as reminders,
    ):
        worker = live.start_worker()
        start_ms = now_ms()
        late = [consent("LATE", start_ms - 3 * DAY_MS), cart("LATE", start_ms - DAY_MS - 3_600_000)]
        send(connection, "events.customer", *late)
        wait(lambda: reminders.of("cart-LATE"))
        began_ms = now_ms()
        soon_ms, next_ms, due_ms = began_ms + 3_000, began_ms + 5_000, began_ms + 13_000
        values = [consent(m, began_ms - 3 * DAY_MS) for m in ("SOON", "NEXT", "WAITS", "ORDERED", "AFTER")]
        values += [cart("SOON", soon_ms - DAY_MS), cart("NEXT", next_ms - DAY_MS)]
        values += [cart(member, due_ms - DAY_MS) for member in ("WAITS", "ORDERED", "AFTER")]
        send(connection, "events.customer", *values)
        wait(lambda: reminders.of("cart-SOON"))
        came_s, reminder = reminders.of("cart-SOON")[0]
        assert 0 <= came_s - soon_ms / 1000 < 2
        assert reminder["due_ms"] == soon_ms
        assert reminder["outcome"] == "fired"
        # What fired without an event has not made the clock wait for partitions where nothing comes.
        send(connection, "events.browse", line("other", "app.opened", now_ms(), "OTHER"))
        wait(lambda: reminders.of("cart-NEXT"))
        assert reminders.of("cart-NEXT")[0][0] - next_ms / 1000 < 2
        live.wait()
        assert live.stop_worker(worker) == 0
        assert now_ms() < due_ms
        send(connection, "events.order", order("ORDERED", due_ms - 1), order("AFTER", due_ms + 1))
        time.sleep(max(0.0, due_ms / 1000 - time.time()) + 1)
        live.start_worker()
        wait(lambda: reminders.of("cart-WAITS"))
        wait(lambda: reminders.of("cart-AFTER"))
        time.sleep(1)
        assert reminders.of("cart-ORDERED") == []
        assert len(reminders.seen) == 5
    assert read(connection, "events.deadletter") == []


# Transactions that hang: their worker is stopped, or cut off, between its first message and its commit


@contextmanager
def hanging(connection: Connection, topic: str, partitions: int, timeout_ms: int = 12_000) -> Iterator[None]:
    """Leave a transaction open in all partitions of a topic until the broker ends it."""
    producer = connection.producer(
        transactional_id=f"{connection.prefix}hangs-{topic}", transaction_timeout_ms=timeout_ms
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    for number in range(partitions):
        producer.produce(connection.topic(topic), b"never", b"never", number)
    assert producer.flush(20) == 0
    yield


@pytest.mark.parametrize("lost", ["stores", "nothing"])
def test_who_takes_over_waits_for_what_was_committed_behind_a_transaction_that_hangs(
    settings: Settings, connection: Connection, tmp_path: Path, lost: str
) -> None:
    lines = shop(1_500, seed=12)
    expected, until = replayed(lines, tmp_path, settings)
    with LivePipeline(settings, tmp_path / "live") as live:
        worker = live.start_worker()
        live.publish(lines[:500])
        live.wait()
        with hanging(connection, "profiles.state", 3), hanging(connection, "identity.graph", 3):
            live.publish(lines[500:1_000])
            wait(lambda: not unread(connection), 60)
            live.stop_worker(worker, signal.SIGKILL)
            if lost == "stores":
                shutil.rmtree(settings.worker.data)
            live.start_worker()
            live.publish(lines[1_000:])
        live.wait()
        live.advance(until)
        found = live.export(tmp_path / "exported")
    assert check(expected, found) == []


def unread(connection: Connection) -> bool:
    """Whether a message lies before a stage; open transactions do not matter."""
    reading = Lag(connection)
    try:
        return any(stage.lag for stage in reading.stages() if stage.stage in ("identify", "resolve", "profile"))
    finally:
        reading.close()


def test_no_trigger_fires_past_an_order_behind_a_transaction_that_hangs(
    promptly: Settings, connection: Connection, tmp_path: Path
) -> None:
    with (
        LivePipeline(promptly, tmp_path / "live", clock="live") as live,
        listening(connection, "triggers.cart-abandon") as reminders,
    ):
        live.start_worker()
        start_ms = now_ms()
        due_ms = start_ms + 20_000
        values = [consent(member, start_ms - 3 * DAY_MS) for member in ("ORDERED", "WAITS", "FIRST")]
        values += [cart(member, due_ms - DAY_MS) for member in ("ORDERED", "WAITS")]
        send(connection, "events.customer", *values, cart("FIRST", start_ms + 1_000 - DAY_MS))
        wait(lambda: reminders.of("cart-FIRST"))
        assert now_ms() < due_ms - 4_000
        with hanging(connection, "events.identified", 3):
            send(connection, "events.order", order("ORDERED", due_ms - 2_000))
            wait(lambda: reminders.of("cart-WAITS"), 60)
        live.wait()
        assert reminders.of("cart-ORDERED") == []
