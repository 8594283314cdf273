"""Firings reach real receivers: signed, tried again, at a rate, and what nobody takes is a dead letter."""

import asyncio
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import faust
import pytest
from aiohttp import web

from schemas.errors import ConfigError
from schemas.settings import Settings
from stream import webhooks
from stream.broker import Broker
from stream.connection import Connection
from stream.faust_app import make_app
from stream.metrics import Metrics
from tests.live.running import create, publish, read, running, wait

pytestmark = pytest.mark.alone  # it measures times

SECRET = "s3cret-值"


class Receiver:
    """An HTTP server on a free port; `answer` says what each request gets: a status, with headers if wanted."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, dict[str, str], bytes]] = []
        self.answer: Callable[[int, str], Any] = lambda number, trigger_id: 200
        self.hold_s = 0.0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        async def post(request: web.Request) -> web.Response:
            body = await request.read()
            self.requests.append((time.monotonic(), dict(request.headers), body))
            number = len(self.requests)
            await asyncio.sleep(self.hold_s)
            answer = self.answer(number, request.headers["Idempotency-Key"])
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            return web.Response(status=status, headers=headers)

        app = web.Application()
        app.router.add_post("/hook", post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def ids(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.requests]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def with_targets(settings: Settings, **targets: Any) -> Settings:
    return Settings.model_validate({**settings.model_dump(exclude_unset=True), "webhooks": targets})


def worker(
    settings: Settings, connection: Connection, metrics: Metrics | None = None, *, live: bool = True
) -> faust.App:
    app = make_app(settings, connection, "a", Path(settings.worker.data))
    environ = {"HOOK": SECRET}
    webhooks.register(app, settings, connection, metrics or Metrics(), ["r1", "r2"], environ, live=live)
    return app


def firing(number: int, rule: str = "r1", outcome: str = "fired") -> bytes:
    return json.dumps({"trigger_id": f"{rule}-{number}", "rule": rule, "outcome": outcome, "值": 1}).encode()


def outcomes(metrics: Metrics, target: str) -> dict[str, float]:
    names = ("delivered", "retried", "dead")
    found = {
        name: metrics.registry.get_sample_value("kith_webhook_deliveries_total", {"target": target, "outcome": name})
        for name in names
    }
    return {name: value for name, value in found.items() if value}


def begun(connection: Connection, target: str) -> bool:
    """Whether a target has a place from which it reads."""
    group = connection.group(f"webhooks.{target}")
    return bool(Broker(connection).members([group])[group])


def settled(connection: Connection, target: str, topics: int) -> bool:
    """Whether all is delivered: offsets count the marks of transactions between messages, not after them."""
    offsets = Broker(connection).committed(connection.group(f"webhooks.{target}"))
    return len(offsets) == 3 * topics and all(
        offset >= end - 1
        for offset, end in zip(offsets.values(), Broker(connection).ends(offsets).values(), strict=True)
    )


@pytest.fixture
def topics(connection: Connection) -> None:
    create(connection, triggers_r1=3, triggers_r2=3, webhooks_deadletter=1)


@pytest.mark.usefixtures("topics")
def test_a_firing_is_delivered_signed_and_only_where_it_is_wanted(
    settings: Settings, connection: Connection, receiver: Receiver, other: Receiver
) -> None:
    publish(connection, "triggers.r1", firing(0))  # before the targets were there
    settings = with_targets(
        settings,
        all={"url": receiver.url, "secret_variable": "HOOK"},
        some={"url": other.url, "rules": ["r2"]},
    )
    with running(lambda: worker(settings, connection)):
        wait(lambda: begun(connection, "all") and begun(connection, "some"))
        publish(connection, "triggers.r1", firing(1), firing(2, outcome="held_out"), b"no json")
        publish(connection, "triggers.r2", firing(3, "r2"))
        wait(lambda: len(receiver.requests) == 2 and len(other.requests) == 1)
        wait(lambda: settled(connection, "all", 2))
    assert sorted(receiver.ids()) == ["r1-1", "r2-3"]
    assert other.ids() == ["r2-3"]
    _, headers, body = min(receiver.requests, key=lambda each: each[1]["Idempotency-Key"])
    assert body == firing(1)
    assert headers["Content-Type"] == "application/json"
    stamp, _, signature = headers["Kith-Signature"].partition(",v1=")
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 60
    expected = hmac.new(SECRET.encode(), stamp.removeprefix("t=").encode() + b"." + body, sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert "Kith-Signature" not in other.requests[0][1]
    assert read(connection, "webhooks.deadletter") == []


@pytest.mark.usefixtures("topics")
def test_what_fails_is_tried_again_and_what_nobody_takes_is_a_dead_letter(
    settings: Settings, connection: Connection, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {"r1-1": [500, 429, 200], "r1-2": [400], "r1-3": [503] * 3, "r1-4": [200]}
    receiver.answer = lambda number, trigger_id: answers[trigger_id].pop(0)
    settings = with_targets(
        settings, hook={"url": receiver.url, "attempts": 3, "backoff": "1s", "secret_variable": "HOOK"}
    )
    metrics = Metrics()
    with running(lambda: worker(settings, connection, metrics)):
        wait(lambda: begun(connection, "hook"))
        publish(connection, "triggers.r1", *(firing(number) for number in range(1, 5)))
        wait(lambda: settled(connection, "hook", 2))
    assert sorted(receiver.ids()) == ["r1-1"] * 3 + ["r1-2"] + ["r1-3"] * 3 + ["r1-4"]
    letters = {
        letter["trigger_id"]: letter
        for letter in (json.loads(message.value() or b"") for message in read(connection, "webhooks.deadletter"))
    }
    assert {name: (each["attempts"], each["status"]) for name, each in letters.items()} == {
        "r1-2": (1, 400),
        "r1-3": (3, 503),
    }
    assert letters["r1-2"]["trigger"] == json.loads(firing(2))
    assert letters["r1-2"]["target"] == "hook"
    assert outcomes(metrics, "hook") == {"delivered": 2, "retried": 4, "dead": 2}
    assert SECRET not in caplog.text


@pytest.mark.usefixtures("topics")
def test_a_target_gets_no_more_than_its_rate_and_is_left_alone_when_it_asks(
    settings: Settings, connection: Connection, receiver: Receiver
) -> None:
    receiver.answer = lambda number, trigger_id: (429, {"Retry-After": "1"}) if number == 4 else 200
    settings = with_targets(settings, hook={"url": receiver.url, "per_second": 20, "backoff": "1s"})
    with running(lambda: worker(settings, connection)):
        wait(lambda: begun(connection, "hook"))
        publish(connection, "triggers.r1", *(firing(number) for number in range(12)))
        wait(lambda: len(receiver.requests) >= 13)
    assert set(receiver.ids()) == {f"r1-{number}" for number in range(12)}
    times = [at for at, _, _ in receiver.requests]
    gaps = sorted(after - before for before, after in pairwise(times))
    assert times[-1] - times[0] > 12 / 20 + 0.8  # the rate, and the second that was asked for
    assert gaps[-1] > 0.8


@pytest.mark.usefixtures("topics")
def test_a_target_that_is_down_holds_up_nobody(
    settings: Settings, connection: Connection, receiver: Receiver, other: Receiver
) -> None:
    receiver.hold_s = 60
    settings = with_targets(
        settings, slow={"url": receiver.url, "timeout": "60s"}, fast={"url": other.url, "per_second": 1000}
    )
    count = 100
    with running(lambda: worker(settings, connection)) as app:
        wait(lambda: begun(connection, "slow") and begun(connection, "fast"))
        publish(connection, "triggers.r1", *(firing(number) for number in range(count)))
        wait(lambda: len(set(other.ids())) == count)
    assert app.stop_s < 8
    assert len(receiver.requests) < count


@pytest.mark.usefixtures("topics")
def test_what_a_stop_interrupts_is_delivered_again_with_its_key(
    settings: Settings, connection: Connection, receiver: Receiver
) -> None:
    receiver.answer = lambda number, trigger_id: 503 if trigger_id == "r1-1" else 200
    settings = with_targets(settings, hook={"url": receiver.url, "attempts": 50, "backoff": "1s"})
    with running(lambda: worker(settings, connection)):
        wait(lambda: begun(connection, "hook"))
        publish(connection, "triggers.r1", *(firing(number) for number in range(4)), key=b"one")
        wait(lambda: set(receiver.ids()) == {f"r1-{number}" for number in range(4)})
    tried = receiver.ids().count("r1-1")
    publish(connection, "triggers.r1", firing(4), key=b"one")  # while nobody delivers
    receiver.answer = lambda number, trigger_id: 200
    with running(lambda: worker(settings, connection)):
        wait(lambda: "r1-4" in receiver.ids() and receiver.ids().count("r1-1") > tried)
        wait(lambda: settled(connection, "hook", 2))
    assert receiver.ids().count("r1-0") == 1
    assert read(connection, "webhooks.deadletter") == []


@pytest.mark.usefixtures("topics")
def test_a_backfill_delivers_nothing(settings: Settings, connection: Connection, receiver: Receiver) -> None:
    settings = with_targets(settings, hook={"url": receiver.url})
    with running(lambda: worker(settings, connection, live=False)):
        publish(connection, "triggers.r1", firing(0))
        time.sleep(1)
        assert not begun(connection, "hook")
    with running(lambda: worker(settings, connection)):
        wait(lambda: begun(connection, "hook"))
        publish(connection, "triggers.r1", firing(1))
        wait(lambda: receiver.requests)
    assert receiver.ids() == ["r1-1"]


def test_wrong_targets_are_refused_at_the_start(settings: Settings, connection: Connection, tmp_path: Path) -> None:
    def refused(**target: Any) -> str:
        with pytest.raises(ConfigError) as error:
            worker(with_targets(settings, hook={"url": "https://example.com", **target}), connection)
        return str(error.value)

    assert "webhooks.hook.url" in refused(url="example.com")
    assert "webhooks.hook.secret_file" in refused(secret_file=str(tmp_path / "none"))
    assert "webhooks.hook: the secret" in refused(secret_variable="NOT_SET")
    assert "webhooks.hook.url" in refused(url="http://[")
    assert "no rule `r9`" in refused(rules=["r9"])
    with pytest.raises(ConfigError, match="a name may hold"):
        worker(with_targets(settings, **{"../hook": {"url": "https://example.com"}}), connection)


def test_the_documented_verification_accepts_what_is_sent_and_nothing_else() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    genuine = names["is_genuine"]
    key, body, now = SECRET.encode(), firing(1), int(time.time())
    header = webhooks.sign(key, body, now)
    assert genuine(key, header, body)
    assert not genuine(key, header, body + b" ")
    assert not genuine(b"other", header, body)
    assert not genuine(key, header, body, now=now + 301)
    assert not genuine(key, header.replace(f"t={now}", f"t={now + 1}"), body)
    assert not any(genuine(key, wrong, body) for wrong in ("", "t=,v1=", "v1=00", f"t={now}", f"t={now},v1=密"))
