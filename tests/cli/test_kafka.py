"""`kith kafka`, as a person calls it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka_local import LocalKafka
from deploy.ports import HOST, free_ports


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    LocalKafka(tmp_path / "kith-data" / "kafka").kill()


def kith(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "kafka", *words]
    path = str(Path(__file__).resolve().parents[2])
    variables = os.environ | {"PYTHONPATH": path} | environ
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_from_install_to_stop(folder: Path) -> None:
    installed = kith(folder, "install")
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout.startswith("Kafka 4.")

    nothing = kith(folder, "status")
    assert nothing.returncode == 1
    assert "holds no Kafka" in nothing.stdout

    port = free_ports(1)[0]
    # What is installed starts without a network.
    started = kith(folder, "start", "--port", str(port), MAVEN_CENTRAL="https://nowhere.invalid")
    assert started.returncode == 0, started.stderr
    assert started.stdout == f"{HOST}:{port}\n"
    assert str(folder / "kith-data/kafka/kafka.log") in started.stderr

    status = kith(folder, "status", "--json")
    assert status.returncode == 0
    told = json.loads(status.stdout)
    assert told["running"] is True
    assert told["bootstrap"] == f"{HOST}:{port}"
    assert list(told["nodes"]) == ["1"]
    assert "process" in kith(folder, "status").stdout

    again = kith(folder, "start")
    assert (again.returncode, again.stdout) == (0, started.stdout)
    elsewhere = kith(folder, "start", "--port", str(port + 1))
    assert elsewhere.returncode == 2
    assert "stop it first" in elsewhere.stderr

    assert kith(folder, "stop").returncode == 0
    assert kith(folder, "status").returncode == 1
    assert "no Kafka that runs" in kith(folder, "stop").stderr


def test_what_stops_a_start_is_named(folder: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        taken = kith(folder, "start", "--port", str(port))
    assert taken.returncode == 2
    assert taken.stderr == f"port {port} on {HOST} is used by another program\n"

    beyond = kith(folder, "start", "--port", "65535", "--nodes", "3")
    assert beyond.returncode == 2
    assert "ports up to 65537" in beyond.stderr

    cache = str(folder / "empty")
    offline = kith(folder, "start", "--port", "0", XDG_CACHE_HOME=cache, MAVEN_CENTRAL=(folder / "none").as_uri())
    assert offline.returncode == 1
    assert "cannot be fetched: No such file or directory. MAVEN_CENTRAL can name" in offline.stderr
    assert "Traceback" not in offline.stderr
