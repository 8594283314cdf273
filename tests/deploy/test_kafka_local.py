"""The life of a local Kafka: started, found again, killed, started again with its data, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import NewTopic

from deploy.kafka_local import LocalKafka
from deploy.ports import HOST, free_ports
from schemas.errors import ConfigError, StateError
from schemas.live_settings import KafkaSettings
from stream.connection import Connection

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "资料 \\ kafka"
    yield folder
    LocalKafka(folder).kill()


def client(bootstrap: str) -> Connection:
    return Connection(KafkaSettings(brokers=bootstrap), {})


def send(bootstrap: str, topic: str, value: str) -> None:
    producer = client(bootstrap).producer()
    producer.produce(topic, value=value)
    assert producer.flush(30) == 0


def read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = client(bootstrap).consumer("reader")
    try:
        consumer.subscribe([topic])
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def test_the_life_of_a_kafka(home: Path) -> None:
    kafka = LocalKafka(home, guarded=True)
    assert kafka.status().bootstrap is None
    with pytest.raises(StateError, match="never started"):
        _ = kafka.bootstrap
    bootstrap = kafka.start()
    admin = client(bootstrap).admin()
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(20)
    send(bootstrap, "t", "before")

    # Another object, in whichever process, finds the same Kafka and starts no second one.
    other = LocalKafka(home)
    assert other.status().running
    assert other.pids == kafka.pids
    assert other.start() == bootstrap
    assert other.pids == kafka.pids
    with pytest.raises(ConfigError, match="not of 3"):
        LocalKafka(home, nodes=3).start()
    with pytest.raises(ConfigError, match="stop it first"):
        LocalKafka(home, ports=free_ports(1)).start()

    # Killed from outside: seen, and back at the same address with its data.
    os.kill(kafka.pids[1], signal.SIGKILL)
    until = time.monotonic() + 10
    while kafka.status().running:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert other.start() == bootstrap
    send(bootstrap, "t", "after")
    assert read(bootstrap, "t", 2) == [b"before", b"after"]

    # A stale number of a process that is now another program's is not taken for Kafka, nor ended.
    kafka.stop()
    state = json.loads((home / "state.json").read_text())
    state["pids"] = {"1": [os.getpid(), 1.0]}
    (home / "state.json").write_text(json.dumps(state))
    assert not kafka.status().running
    kafka.stop()

    # A program that took the port meanwhile: another one is found, or the one that was asked for is named.
    with socket.create_server((HOST, state["clients"][0])):
        with pytest.raises(ConfigError, match=f"port {state['clients'][0]} on {HOST} is used by another program"):
            LocalKafka(home, ports=state["clients"]).start()
        moved = kafka.start()
    assert moved != bootstrap
    assert kafka.log.read_text().count("Kafka Server started") == 3
    kafka.stop()
    assert kafka.pids == {}


def test_a_kafka_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    kafka = LocalKafka(home, properties={"log.retention.hours": "many"}, guarded=True)
    with pytest.raises(StateError, match=r"log\.retention\.hours"):
        kafka.start()
    assert kafka.pids == {}
    good = LocalKafka(home, guarded=True)
    with pytest.raises(StateError, match="did not start in time"):
        good.start(timeout_s=0.3)
    assert good.pids == {}


def test_a_guarded_kafka_ends_with_its_process_however_that_ends(home: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from deploy.kafka_local import LocalKafka; "
        "kafka = LocalKafka(Path(sys.argv[1]), guarded=True); kafka.start(); print(kafka.pids[1], flush=True); "
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(home)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
    until = time.monotonic() + 20
    while LocalKafka(home).status().pids:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_three_nodes_go_on_without_one(home: Path) -> None:
    with LocalKafka(home, nodes=3, guarded=True) as kafka:
        admin = client(kafka.bootstrap).admin()
        admin.create_topics([NewTopic("t", 3, 3)])["t"].result(20)
        assert len(kafka.bootstrap.split(",")) == 3
        kafka.kill([2])
        assert set(kafka.pids) == {1, 3}
        send(kafka.bootstrap, "t", "still here")
        assert read(kafka.bootstrap, "t", 1) == [b"still here"]
        kafka.start()
        assert set(kafka.pids) == {1, 2, 3}
