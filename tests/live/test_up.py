"""`kith up` as a user meets it: started, fed by a plain client, asked, stopped, started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from confluent_kafka import Consumer, Producer

from cli.status import Counts
from deploy.kafka_local import LocalKafka

KITH = [sys.executable, "-P", "-m", "cli.main"]
PATIENCE_S = 90.0

T = TypeVar("T")


class Up:
    """A running `kith up`, which writes to two files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("KITH_")}
        self.folder = folder
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*KITH, "up", "--config", "kith.yaml", *options], cwd=folder, env=environ, stdout=out, stderr=err
            )

    def said(self, pattern: str) -> "re.Match[str]":
        """Wait until it has written something to standard output, and return the last of it."""

        def look() -> "re.Match[str] | None":
            assert self.process.poll() is None, self.all()
            return next(reversed(list(re.finditer(pattern, self.out.read_text(), re.M))), None)

        return wait_for(look, self.all)

    def all(self) -> str:
        """All it has written, for the message of a test that fails."""
        log = self.folder / "kith-data" / "workers.log"
        return self.out.read_text() + self.err.read_text() + (log.read_text()[-3000:] if log.exists() else "")

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "worker" in child.cmdline()]

    def stop(self, how: signal.Signals) -> None:
        """Ask it to stop, and see that it does, with all it has started."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        assert self.process.wait(PATIENCE_S) == 0, self.all()
        _, alive = psutil.wait_procs(started, timeout=10)
        assert not alive, self.all()


def wait_for(look: Callable[[], T | None], tell: Callable[[], str] = lambda: "") -> T:
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"it did not come true\n{tell()}"
        time.sleep(0.1)
    return found


@contextmanager
def up(folder: Path, *options: str) -> Iterator[Up]:
    """Start it, and end it however the test ends."""
    running = Up(folder, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            children = psutil.Process(running.process.pid).children(recursive=True)
            running.process.kill()
            running.process.wait()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


def config(folder: Path, **kafka: object) -> None:
    settings = {
        "kafka": {"partitions": 2, **kafka},
        "worker": {"api": {"port": 0}},
        "triggers": {"quiet_hours": "off"},  # at whatever hour this runs
    }
    (folder / "kith.yaml").write_text(json.dumps(settings))


def publish(brokers: str, topic: str, kind: str, number: int, at: float, **data: object) -> None:
    """Publish an event as any team does: no setting but the address."""
    event = {
        "id": f"{kind}-{number}",
        "type": kind,
        "time": int(at * 1000),
        "identifiers": {"phone": "139 1234 5678"},
        "data": data,
    }
    producer = Producer({"bootstrap.servers": brokers})
    producer.produce(topic, json.dumps(event), key="13912345678")
    assert producer.flush(30) == 0


def profile(api: str) -> dict[str, object] | None:
    done = subprocess.run(
        [*KITH, "profile", "show", "phone:13912345678", "--api", api, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def with_events(api: str, number: int) -> dict[str, object] | None:
    found = profile(api)
    return found if found is not None and found["events"] == number else None


def first_of(brokers: str, topic: str) -> dict[str, object] | None:
    reader = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"marketing-{time.monotonic_ns()}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    reader.subscribe([topic])
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = reader.poll(0.5)
            if message is not None and message.error() is None:
                return dict(json.loads(message.value() or b""))
        return None
    finally:
        reader.close()


def test_it_starts_everything_shows_profiles_and_triggers_stops_cleanly_and_keeps_all(tmp_path: Path) -> None:
    config(tmp_path)
    with up(tmp_path) as running:
        brokers = running.said(r"^Kafka +(\S+)$")[1]
        api = running.said(r"^profiles +(http://[^/]+)/")[1]
        now = time.time()
        publish(brokers, "events.customer", "customer.consented", 1, now, purpose="service", granted=True)
        wait_for(lambda: with_events(api, 1), running.all)
        publish(brokers, "events.ticket", "ticket.opened", 1, now, ticket_id="T1")
        publish(brokers, "events.ticket", "ticket.rated", 1, now, ticket_id="T1", score=1)
        wait_for(lambda: with_events(api, 3), running.all)
        fired = first_of(brokers, "triggers.low-score")
        assert fired is not None, running.all()
        assert (fired["rule"], fired["outcome"]) == ("low-score", "fired")
        running.said(
            r"workers 1 of 1, lake 1 of 1 · events 3 .* people 1 · fired 1 \(low-score 1\) · dead letters 0 · lag 0 "
            r"· clock \d"
        )

        next(worker for worker in running.workers() if "lake" not in worker.cmdline()).kill()
        running.said(r"workers 1 of 1, lake 1 of 1, 1 started again")
        assert "a worker was ended by SIGKILL; it is started again" in running.err.read_text()
        publish(brokers, "events.chat", "chat.started", 1, time.time(), conversation_id="c1")
        running.said(r"events 4 .* people 1 .* lag 0")
        running.stop(signal.SIGINT)
    assert running.err.read_text().splitlines()[-1] == "stopping Kafka ..."
    command = [*KITH, "snapshot", "--config", "kith.yaml", "--out", "snapshot", "--json", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["events"] == 4  # the lake was stopped after the others

    with up(tmp_path, "--workers", "2") as running:
        api = running.said(r"^profiles +(http://[^/]+)/")[1]
        assert running.said(r"^Kafka +(\S+)$")[1] == brokers
        wait_for(lambda: with_events(api, 4), running.all)
        assert len(running.workers()) == 3
        running.stop(signal.SIGTERM)


def test_another_kafka_is_used_and_left_alone_and_no_worker_outlives_a_killed_up(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    config(tmp_path, prefix="up-test.", replication=1)
    with up(tmp_path, "--broker", kafka.bootstrap, "--clock", "events") as running:
        running.said(r"^profiles +http")
        running.said(r"workers 1 of 1, lake 1 of 1 .* clock of the events")
        workers = running.workers()
        assert len(workers) == 2
        running.process.kill()
        running.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
    assert kafka.status().running
    assert not (tmp_path / "kith-data" / "kafka").exists()


def test_a_kafka_that_is_not_there_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    config(tmp_path, options={"socket.timeout.ms": 2000})
    done = subprocess.run(
        [*KITH, "up", "--config", "kith.yaml", "--broker", "127.0.0.1:1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


def test_a_worker_that_cannot_run_with_its_settings_ends_it_with_2_and_says_why(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    config(tmp_path, prefix="up-wrong.", replication=1)
    settings = json.loads((tmp_path / "kith.yaml").read_text())
    settings["worker"]["api"]["host"] = "0.0.0.0"
    (tmp_path / "kith.yaml").write_text(json.dumps(settings))
    environ = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    done = subprocess.run(
        [*KITH, "up", "--config", "kith.yaml", "--broker", kafka.bootstrap],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "worker.api" in done.stderr


def test_what_a_worker_counted_before_it_was_started_again_stays_counted() -> None:
    counts = Counts()

    def text(began: int, events: int, people: int) -> str:
        return (
            f"# TYPE kith_start_time_seconds gauge\nkith_start_time_seconds {began}\n"
            f'# TYPE kith_events counter\nkith_events_total{{stage="identify"}} {events}\n'
            f"# TYPE kith_people gauge\nkith_people {people}\n"
        )

    counts.add("worker-0", text(1, 10, 5))
    counts.add("worker-1", text(1, 7, 2))
    counts.add("worker-0", text(2, 4, 5))
    assert counts.by_label("kith_events_total", "stage") == {"identify": 21}
    assert counts.total("kith_people") == 7
    counts.forget({"worker-1"})
    assert counts.by_label("kith_events_total", "stage") == {"identify": 21}
    assert counts.total("kith_people") == 5
    assert counts.largest("kith_clock_lag_seconds") is None
