"""The files for Docker against the program, without Docker: every name in them is one that there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cli.main import main
from deploy.broker_config import Ports, node_properties
from deploy.jars import kafka_version
from schemas.load import load_settings
from schemas.settings import Settings
from stream.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def settings_of(service: str) -> Settings:
    told = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    line = " ".join(SERVICES[service].get("entrypoint", []))
    told |= dict(re.findall(r"(KITH_\w+)=(\S+)", line)) | dict(re.findall(r"(KITH_\w+)=(\S+)", DOCKERFILE))
    return load_settings(None, told)


@pytest.mark.parametrize("service", ["topics", "worker", "lake"])
def test_every_variable_is_a_setting_and_names_the_kafka_inside(service: str) -> None:
    settings = settings_of(service)
    host, _, port = settings.kafka.brokers.partition(":")
    assert f"INSIDE://{host}:{port}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert host in SERVICES
    assert settings.worker.data == "/data"


def test_a_worker_listens_where_it_says_and_has_a_key() -> None:
    api = settings_of("worker").worker.api
    assert api.host == "0.0.0.0"
    assert str(api.advertised).endswith(f":{api.port}")
    assert api.key_variable in SERVICES["worker"]["environment"]
    assert f":{api.port}/health" in SERVICES["worker"]["healthcheck"]["test"][-1]
    assert f"EXPOSE {api.port}\n" in DOCKERFILE


def test_every_stage_runs_and_all_that_read_the_lake_see_the_one_that_is_written() -> None:
    commands = [SERVICES[service]["command"] for service in ("worker", "lake")]
    stages = [command[0].partition("=")[2].split(",") for command in commands]
    assert sorted([*stages[0], *stages[1]]) == sorted(STAGES)
    for service in ("worker", "lake"):
        assert SERVICES[service]["volumes"] == ["/data", f"lake:{settings_of(service).lake.url}"]
    assert "lake" in COMPOSE["volumes"]
    assert "mkdir /data /lake && chown kith /data /lake" in DOCKERFILE


def words() -> list[list[str]]:
    """Every call of kith in the file."""
    found = [SERVICES["topics"]["command"]]
    for service in ("worker", "lake"):
        (called,) = re.findall(r"exec kith (.+)", SERVICES[service]["entrypoint"][-1])
        found.append([*called.replace("$$0", "").split(), *SERVICES[service]["command"]])
    return found


@pytest.mark.parametrize("call", words())
def test_every_command_exists(call: list[str]) -> None:
    command: click.Command | None = main
    for word in call:
        context = click.Context(main)
        if word.startswith("-"):
            assert command is not None
            assert word.partition("=")[0] in {option for parameter in command.params for option in parameter.opts}
        else:
            assert isinstance(command, click.Group)
            command = command.get_command(context, word)
            assert command is not None, word
    assert command is not None
    assert not isinstance(command, click.Group)


def test_the_kafka_is_of_the_version_and_the_settings_of_the_local_one() -> None:
    assert SERVICES["kafka"]["image"].endswith(f":{kafka_version()}")
    local = node_properties(1, Ports([1], [2], [3]), Path("data"))
    own = {"listeners", "advertised.listeners", "inter.broker.listener.name", "controller.quorum.voters", "log.dirs"}
    for name, value in SERVICES["kafka"]["environment"].items():
        assert name.startswith("KAFKA_")
        key = name.removeprefix("KAFKA_").lower().replace("_", ".")
        if key not in own and key != "listener.security.protocol.map":
            assert str(value) == local[key], key


def test_the_image_has_every_package_and_the_lock_of_the_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    needed = {*packages, "pyproject.toml", "requirements.lock", project["project"]["readme"]}
    needed |= set(project["project"]["license-files"])
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == needed
    development = {re.split(r"[<>=]", name)[0] for name in project["project"]["optional-dependencies"]["dev"]}
    removed = set(re.findall(r"uninstall --yes (.*)", DOCKERFILE)[0].split())
    assert removed == {name for name in development if not name.startswith("types-")}
