"""The commands around topics, from the command line to Kafka and back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from deploy.kafka_local import LocalKafka
from schemas.messages import ClockCommand
from schemas.settings import Settings
from schemas.topics import topic
from stream.connection import Connection
from stream.dead_letters import dead_letter
from stream.reading import read_topics

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("KITH_KAFKA__BROKERS", settings.kafka.brokers)
    monkeypatch.setenv("KITH_KAFKA__PREFIX", settings.kafka.prefix)
    monkeypatch.setenv("KITH_KAFKA__PARTITIONS", "2")

    def invoke(*arguments: str, code: int = 0, **options: str) -> Result:
        result = CliRunner().invoke(main, arguments, **options)
        assert result.exit_code == code, result.output
        return result

    return invoke


EVENT = json.dumps(
    {
        "id": "e1",
        "type": "ticket.opened",
        "time": 1_750_000_000_000,
        "identifiers": {"member_id": "m1"},
        "data": {"ticket_id": "t1"},
    }
)


def test_from_topics_to_dead_letters(run: Run, connection: Connection, tmp_path: Path) -> None:
    assert "profiles.state: is missing\n" in run("topics", "check", code=1).stdout
    assert "kith topics create" in run("lag", code=1).stderr
    assert run("topics", "create").stdout.endswith(" topics created\n")
    assert run("topics", "create").stdout == "all topics are there\n"
    assert run("topics", "check").stdout == "all topics are as they should be\n"

    path = tmp_path / "events.jsonl"
    path.write_text(f"{EVENT}\nwhat?\n")
    strict = run("publish", str(path), "--strict", "--quiet", code=2)
    assert f"{path}:2: not_json: " in strict.stderr
    done = run("publish", str(path), "--quiet")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["lines", "2"],
        ["events.customer", "1"],
        ["events.ticket", "1"],
    ]
    assert done.stderr.startswith("of these 1 will be dead letters: 1 not_json\n")
    assert run("publish", "-", "--quiet", input=EVENT).stdout.split() == ["lines", "1", "events.ticket", "1"]

    stages = json.loads(run("lag", "--json").stdout)
    assert {each["topic"]: each["lag"] for each in stages if each["lag"]} == {
        connection.topic("events.ticket"): 2,
        connection.topic("events.customer"): 1,
    }
    assert "identify" in run("lag").stdout
    waited = run("lag", "--wait", "--timeout", "0.5", code=1)
    assert "no worker is there for identify: waiting for one\nkith: not worked off after 0.5 s" in waited.stderr
    assert "--wait" in run("lag", "--timeout", "1", code=2).stderr

    assert run("deadletter", "list").stderr == "0 dead letters\n"
    producer = connection.producer()
    for number in range(3):
        letter = dead_letter("invalid", "time: 年", "events.ticket", 1, number, EVENT.encode())
        producer.produce(connection.topic("events.deadletter"), letter, "m1")
    producer.flush(10)
    listed = run("deadletter", "list", "--limit", "2")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["1", "2"]
    assert "invalid        events.ticket/1/1  time: 年\n" in listed.stdout
    assert listed.stderr == "3 dead letters, the newest 2 shown\n"
    objects = [json.loads(line) for line in run("deadletter", "list", "--limit", "0", "--json").stdout.splitlines()]
    assert [each["source_offset"] for each in objects] == [0, 1, 2]
    assert objects[0]["text"] == EVENT
    assert run("deadletter", "list", "--since", "2100-01-01T00:00:00Z").stdout == ""
    assert "--since: " in run("deadletter", "list", "--since", "today", code=2).stderr
    assert run("deadletter", "redrive", "--dry-run").stdout == "3 would be sent to events.ticket\n"
    assert run("deadletter", "redrive", "--offset", "2").stdout == "1 sent to events.ticket\n"
    assert run("deadletter", "redrive", "--reason", "invalid").stdout == "3 sent to events.ticket\n"
    assert run("deadletter", "redrive").stdout == "3 left out: sent before\nnothing to send\n"


def test_the_clock_is_moved_by_a_command(run: Run, connection: Connection) -> None:
    assert "kith topics create" in run("clock", "advance", "2026-01-01T00:00:00Z", "--no-wait", code=1).stderr
    run("topics", "create")
    assert "TIME: " in run("clock", "advance", "soon", code=2).stderr
    said = run("clock", "advance", "2026-01-01T08:00:00+08:00", "--no-wait")
    assert said.stdout == "2026-01-01T00:00:00.000Z\n"
    waited = run("clock", "advance", "1767225600000", "--timeout", "0.5", code=1)
    assert f"control {connection.topic('control.commands')}: 2; no worker is there for control" in waited.stderr
    (messages,) = read_topics(connection, ["control.commands"])
    commands = [ClockCommand.model_validate_json(message.value() or b"") for message in messages]
    assert [command.to_ms for command in commands] == [1_767_225_600_000] * 2
    assert len({command.command_id for command in commands}) == 2
    assert ClockCommand in topic("control.commands").models


def test_a_kafka_that_is_not_there_is_a_failure_that_names_it(run: Run, kafka: LocalKafka, tmp_path: Path) -> None:
    config = tmp_path / "kith.yaml"
    config.write_text("kafka: {prefix: x.}\n")
    for arguments in (["topics", "check"], ["lag", "--wait"], ["deadletter", "list"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KITH_KAFKA__BROKERS", "127.0.0.1:9")
            patch.setattr("stream.broker.Broker.__init__.__defaults__", (1.0,))
            failed = run(*arguments, "--config", str(config), code=1)
        assert failed.stderr.startswith("kith: Kafka at 127.0.0.1:9 cannot be reached: "), arguments
