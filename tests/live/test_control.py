"""Commands are carried out by one of the workers, once or more but not never, also over a broker's death."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import faust
import pytest

from deploy.kafka_local import LocalKafka
from schemas.errors import TransientError
from schemas.settings import Settings
from stream import control, dead_letters, wire
from stream.broker import Broker
from stream.connection import Connection
from stream.faust_app import BatchChannel, done, keep_running, make_app
from stream.messages import Advance
from stream.metrics import Metrics
from tests.live.running import Running, create, publish, read, running, wait

pytestmark = pytest.mark.alone  # it measures times


@pytest.fixture
def topics(connection: Connection) -> None:
    create(connection, control_commands=1, events_identified=3, events_deadletter=1)


def worker(settings: Settings, connection: Connection, name: str, clock: Any = "events") -> faust.App:
    app = make_app(settings, connection, name, Path(settings.worker.data) / name)
    control.register(app, settings, connection, Metrics(), clock)
    return app


def clock_command(to_ms: int) -> bytes:
    return json.dumps({"command": "clock", "command_id": f"c{to_ms}", "to_ms": to_ms}).encode()


def advances(connection: Connection) -> list[tuple[int, int]]:
    found = []
    for message in read(connection, "events.identified"):
        advance = wire.decode(message.value() or b"")
        assert isinstance(advance, Advance)
        found.append((message.partition(), advance.to_ms))
    return sorted(found, key=lambda each: (each[1], each[0]))


def committed(connection: Connection) -> int:
    return Broker(connection).committed(connection.group("control")).get((connection.topic("control.commands"), 0), 0)


@pytest.mark.usefixtures("topics")
def test_the_clock_goes_on_in_every_partition(settings: Settings, connection: Connection) -> None:
    with running(lambda: worker(settings, connection, "a")) as app:
        publish(connection, "control.commands", clock_command(1000), clock_command(2000))
        wait(lambda: len(advances(connection)) == 6)
        wait(lambda: committed(connection) == 3)  # between the two stands the mark of a transaction
    assert advances(connection) == [(p, ms) for ms in (1000, 2000) for p in range(3)]
    assert app.stop_s < 5


@pytest.mark.usefixtures("topics")
def test_with_a_wall_clock_nothing_moves_it(
    settings: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with running(lambda: worker(settings, connection, "a", "live")):
        publish(connection, "control.commands", clock_command(1000))
        wait(lambda: committed(connection) == 1)
    assert advances(connection) == []
    assert "a clock command is ignored" in caplog.text


@pytest.mark.usefixtures("topics")
def test_what_cannot_be_carried_out_is_a_dead_letter_with_its_bytes(settings: Settings, connection: Connection) -> None:
    wrong = [b"no json", b'{"command":"erase","command_id":"e"}', b'{"command":"clock","to_ms":-1}', b"\xff", b"[]"]
    with running(lambda: worker(settings, connection, "a")):
        publish(connection, "control.commands", *wrong, clock_command(7), key=b"k")
        wait(lambda: advances(connection))
    letters = [dead_letters.decode(message.value() or b"") for message in read(connection, "events.deadletter")]
    assert [letter.raw for letter in letters] == wrong
    assert {(letter.reason, letter.source) for letter in letters} == {("invalid", "control.commands")}
    assert [letter.offset for letter in letters] == [0, 2, 4, 6, 8]
    assert "`erase` is not one" in letters[1].detail


@pytest.mark.usefixtures("topics")
def test_a_second_worker_takes_over(settings: Settings, connection: Connection) -> None:
    with (
        running(lambda: worker(settings, connection, "a")) as first,
        running(lambda: worker(settings, connection, "b")),
    ):
        publish(connection, "control.commands", clock_command(1))
        wait(lambda: len(advances(connection)) == 3)
        first.stop()
        publish(connection, "control.commands", clock_command(2))
        wait(lambda: len(advances(connection)) == 6)
    assert first.stop_s < 5


@pytest.mark.usefixtures("topics")
def test_commands_survive_the_death_of_the_broker(
    settings: Settings, connection: Connection, kafka: LocalKafka
) -> None:
    with running(lambda: worker(settings, connection, "a")) as app:
        publish(connection, "control.commands", clock_command(1))
        wait(lambda: len(advances(connection)) == 3)
        kafka.kill()
        time.sleep(1)
        kafka.start()
        publish(connection, "control.commands", clock_command(2))
        wait(lambda: {ms for _, ms in advances(connection)} == {1, 2})
        wait(lambda: committed(connection) == 3)
        assert app.error is None


def test_what_is_not_done_is_read_again_after_a_failure(settings: Settings, connection: Connection) -> None:
    create(connection, control_commands=1)
    seen: list[tuple[bool, bytes]] = []

    def make(broken: bool) -> faust.App:
        app = make_app(settings, connection, "a", Path(settings.worker.data))

        async def agent(stream: Any) -> None:
            async for event in stream.events():
                seen.append((broken, event.value))
                if broken and event.value == b"2":
                    raise ValueError("broken")
                if event.value != b"1":  # the first stays open
                    done(event)

        app.agent(app.topic(connection.topic("control.commands")))(agent)
        return app

    publish(connection, "control.commands", b"0", b"1", b"2", b"3")
    first = Running(lambda: make(True)).start()
    first.join()
    assert isinstance(first.error, TransientError)
    assert isinstance(first.error.__cause__, ValueError)
    assert seen[:3] == [(True, b"0"), (True, b"1"), (True, b"2")]
    seen.clear()
    with running(lambda: make(False)):
        wait(lambda: len(seen) == 4)
        wait(lambda: committed(connection) == 2)
    assert seen == [(False, b"0"), (False, b"1"), (False, b"2"), (False, b"3")]
    assert committed(connection) == 2  # the first message that is still open


def test_a_channel_loses_nothing_while_workers_come_and_go(settings: Settings, connection: Connection) -> None:
    create(connection, control_commands=1)
    got: list[int] = []

    def make() -> faust.App:
        app = make_app(settings, connection, "a", Path(settings.worker.data) / "a")
        batches = BatchChannel(app, maxsize=2)

        async def agent(stream: Any) -> None:
            async for batch in stream:
                got.append(batch)  # noqa: PERF401

        async def feed() -> None:
            for number in range(10**9):
                await batches.put(number)
                await asyncio.sleep(0.001)

        app.agent(batches)(agent)
        app.agent(app.topic(connection.topic("control.commands")), name="commands")(agent)
        app.task(feed)
        return app

    with running(make):
        with running(lambda: worker(settings, connection, "b")):
            before = len(got)
            wait(lambda: len(got) > before + 100)
        before = len(got)
        wait(lambda: len(got) > before + 100)
    assert got == list(range(len(got)))


def test_an_app_with_nothing_but_channels_needs_no_topic(settings: Settings, connection: Connection) -> None:
    got: list[int] = []

    def make() -> faust.App:
        app = make_app(settings, connection, "a", Path(settings.worker.data))
        batches = BatchChannel(app, maxsize=2)

        async def agent(stream: Any) -> None:
            async for batch in stream:
                got.append(batch)  # noqa: PERF401

        async def feed() -> None:
            for number in range(5):
                await batches.put(number)

        app.agent(batches)(agent)
        app.task(feed)
        return app

    with running(make) as app:
        wait(lambda: len(got) == 5)
    assert app.stop_s < 2
    assert Broker(connection).members([connection.group("control")]) == {connection.group("control"): 0}


def test_an_app_beside_others_starts_anew_when_it_breaks(settings: Settings, connection: Connection) -> None:
    create(connection, control_commands=1)
    publish(connection, "control.commands", b"1")
    seen: list[bytes] = []

    def make() -> faust.App:
        app = make_app(settings, connection, "b", Path(settings.worker.data) / "b", "beside")

        async def agent(stream: Any) -> None:
            async for event in stream.events():
                seen.append(event.value)
                if len(seen) == 1:
                    raise ValueError("broken")
                done(event)

        app.agent(app.topic(connection.topic("control.commands")))(agent)
        return app

    def main() -> faust.App:
        app = make_app(settings, connection, "a", Path(settings.worker.data) / "a")

        async def nothing(stream: Any) -> None:
            async for _ in stream:
                pass

        async def beside() -> None:
            await keep_running(make)

        app.agent(BatchChannel(app, maxsize=1))(nothing)
        app.task(beside)
        return app

    group = connection.group("beside")
    with running(main) as app:
        wait(lambda: seen == [b"1", b"1"])
        wait(lambda: Broker(connection).committed(group))
    assert app.error is None
    assert app.stop_s < 5
    assert Broker(connection).members([group])[group] == 0


def test_a_kafka_that_is_not_there_is_said(settings: Settings, connection: Connection) -> None:
    nowhere = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"brokers": "127.0.0.1:1"})})
    app = Running(lambda: worker(nowhere, connection, "a")).start()
    app.join()
    assert isinstance(app.error, TransientError)
    assert "127.0.0.1:1" in str(app.error)
