"""Firings are delivered by HTTP: each to every target that wants its rule, signed, at least once.

Every target has a Faust app and a consumer group of its own, so that a slow one, or one that is down, holds up nobody
else; it begins with what fires after it was first started. A firing is done when the target has answered 2xx, or when
it is a dead letter on `webhooks.deadletter`: at once for an answer that will not change (4xx), after `attempts` tries
for one that may (408, 425, 429, 5xx, no answer). Between tries the wait doubles, with some chance in it so that many
failures do not come back all at once. A target that names a time (`Retry-After`) is left alone until then.

Firings are delivered `_AT_ONCE` at a time and in no certain order. What a stop interrupts is delivered again, with the
same `Idempotency-Key`.
"""

import asyncio
import hashlib
import hmac
import logging
import os
import random
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import faust
import msgspec
from yarl import URL

from schemas.errors import ConfigError, TransientError
from schemas.live_settings import WebhookSettings
from schemas.settings import Settings
from stream.broker import Broker
from stream.connection import Connection, milliseconds, secret
from stream.faust_app import done, keep_running, make_app, publish
from stream.metrics import Metrics

log = logging.getLogger(__name__)

DEAD_LETTERS = "webhooks.deadletter"

_AT_ONCE = 64
_LONGEST_WAIT_S = 300.0
_MAY_CHANGE = {408, 425, 429}


class _Firing(msgspec.Struct):
    trigger_id: str
    outcome: str


class _DeadLetter(msgspec.Struct):
    trigger_id: str
    target: str
    attempts: int
    status: int | None
    error: str
    at_ms: int
    trigger: msgspec.Raw


_firing = msgspec.json.Decoder(_Firing).decode
_encode = msgspec.json.Encoder().encode


def register(
    app: faust.App,
    settings: Settings,
    connection: Connection,
    metrics: Metrics,
    rules: Iterable[str],
    environ: Mapping[str, str] = os.environ,
    *,
    live: bool = True,
) -> None:
    """Deliver while `app` runs, beside it: a failure here does not stop it. `rules` are the rules in force.

    Without a wall clock (`live` is false) firings are of the past, and none is delivered. Raises ConfigError if a
    target's address, secret or rule is wrong.
    """
    known = list(rules)
    for name, wanted in settings.webhooks.items():
        target = Target(name, wanted, environ)
        chosen = [rule for rule in known if wanted.rules is None or rule in wanted.rules]
        unknown = set(wanted.rules or ()) - set(known)
        if unknown:
            raise ConfigError(f"webhooks.{name}.rules: there is no rule `{min(unknown)}` in force")
        if live:
            app.task(_task(app, settings, connection, metrics, target, [f"triggers.{rule}" for rule in chosen]))


def _task(
    app: faust.App, settings: Settings, connection: Connection, metrics: Metrics, target: "Target", topics: list[str]
) -> Any:
    name, data = app.conf.broker_client_id, Path(app.conf.datadir)
    full = [connection.topic(topic) for topic in topics]

    def make(partitions: int) -> faust.App:
        group = f"webhooks.{target.name}"
        own = make_app(settings, connection, name, data / f"webhook-{target.name}", group)
        dead = connection.topic(DEAD_LETTERS)

        async def agent(stream: Any) -> None:
            await _deliver_all(own, stream, target, dead, metrics, partitions)

        own.agent(own.topic(*full), name=f"{own.conf.id}-deliver")(agent)
        return own

    async def task() -> None:
        while True:
            try:
                partitions = await asyncio.to_thread(_begin, connection, f"webhooks.{target.name}", full)
                break
            except TransientError as error:
                log.warning("webhooks.%s: %s", target.name, error)
            await asyncio.sleep(5)
        log.info("firings of %d rules are delivered to %s", len(topics), target.name)
        await keep_running(lambda: make(partitions))

    return task


def _begin(connection: Connection, group: str, topics: list[str]) -> int:
    """Let a target that has never been delivered to begin at the end; return the number of partitions."""
    broker = Broker(connection)
    there = broker.topics()
    missing = set(topics) - set(there)
    if missing:
        raise TransientError(f"{min(missing)} is not there, or cannot be used just now")
    places = [(topic, partition) for topic in topics for partition in range(there[topic])]
    full = connection.group(group)
    if not broker.committed(full) and not broker.members([full])[full]:
        broker.commit(full, broker.ends(places))
    return len(places)


async def _deliver_all(
    app: faust.App, stream: Any, target: "Target", dead: str, metrics: Metrics, partitions: int
) -> None:
    room = asyncio.Semaphore(_AT_ONCE)
    tasks: set[asyncio.Task[None]] = set()

    async def work(event: Any, firing: _Firing, session: aiohttp.ClientSession) -> None:
        try:
            failure = await target.deliver(session, firing.trigger_id, event.value, metrics)
            if failure is not None:
                letter = failure.letter(firing.trigger_id, target.name, event.value)
                await publish(app, dead, firing.trigger_id.encode(), letter)
            done(event)
        except Exception as error:
            await app.crash(error)
        finally:
            room.release()

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            async for event in stream.events():
                firing = _read(event.value)
                if firing is None or firing.outcome != "fired":
                    done(event)
                    continue
                # The rate is the target's, so each worker takes the part of it that its partitions are of all.
                target.share = len(app.consumer.assignment()) / partitions
                await room.acquire()
                task = asyncio.create_task(work(event, firing, session))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _read(value: bytes | None) -> _Firing | None:
    try:
        return _firing(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.error("a message among the firings is none, and is passed over: %s", error)
        return None


class Failure(NamedTuple):
    """Why a delivery was given up: after how many attempts, with which last answer."""

    attempts: int
    status: int | None
    error: str

    def letter(self, trigger_id: str, target: str, body: bytes) -> bytes:
        """Return the dead letter."""
        now_ms = time.time_ns() // 1_000_000
        return _encode(
            _DeadLetter(trigger_id, target, self.attempts, self.status, self.error, now_ms, msgspec.Raw(body))
        )


class Target:
    """One receiver: its secret, its rate, its patience. `share` is the part of the rate that this worker may use.

    Raises ConfigError if the name or the address is none or the secret cannot be had.
    """

    def __init__(self, name: str, settings: WebhookSettings, environ: Mapping[str, str]) -> None:
        self.name = name
        self.share = 1.0
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):  # it names a folder and a consumer group
            raise ConfigError(f"webhooks.{name}: a name may hold letters, digits, `_` and `-`, at most 100")
        try:
            self._url = URL(settings.url)
        except ValueError:
            self._url = URL()
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ConfigError(f"webhooks.{name}.url: must be http://… or https://…")
        key = secret(f"webhooks.{name}.secret_file", settings.secret_file, settings.secret_variable, environ)
        if not key and (settings.secret_file or settings.secret_variable):
            raise ConfigError(f"webhooks.{name}: the secret is empty or not set")
        self._key = key.encode() if key else None
        self._gap_s = 1 / settings.per_second
        self._attempts = settings.attempts
        self._timeout = aiohttp.ClientTimeout(total=milliseconds(settings.timeout) / 1000)
        self._backoff_s = milliseconds(settings.backoff) / 1000
        self._free_at = 0.0
        self._door = asyncio.Lock()

    async def deliver(
        self, session: aiohttp.ClientSession, trigger_id: str, body: bytes, metrics: Metrics
    ) -> Failure | None:
        """Deliver one firing, with all the attempts that it takes; return why it was given up, if it was."""
        attempt = 0
        while True:
            attempt += 1
            await self._turn()
            failure = await self._post(session, trigger_id, body, attempt)
            if failure is None:
                metrics.webhook(self.name, "delivered")
                return None
            final = failure.status is not None and failure.status not in _MAY_CHANGE and failure.status < 500
            if final or attempt >= self._attempts:
                metrics.webhook(self.name, "dead")
                log.warning("%s: %s is given up: %s", self.name, trigger_id, failure.error)
                return failure
            metrics.webhook(self.name, "retried")
            wait_s = min(self._backoff_s * 2 ** (attempt - 1), _LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311  no secret hangs on it

    async def _turn(self) -> None:
        """Wait for a place in the rate, and until the target wants to be asked again."""
        async with self._door:
            while (wait_s := self._free_at - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._free_at = time.monotonic() + self._gap_s / (self.share or 1)

    async def _post(self, session: aiohttp.ClientSession, trigger_id: str, body: bytes, attempt: int) -> Failure | None:
        headers = {"Content-Type": "application/json", "User-Agent": "kith", "Idempotency-Key": trigger_id}
        if self._key is not None:
            headers["Kith-Signature"] = sign(self._key, body, int(time.time()))
        try:
            async with session.post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                if answer.ok and answer.status < 300:
                    return None
                if answer.status in (429, 503):
                    self._leave_alone(answer.headers.get("Retry-After"))
                return Failure(attempt, answer.status, f"HTTP {answer.status} {answer.reason or ''}".strip())
        except TimeoutError:
            return Failure(attempt, None, f"no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Failure(attempt, None, f"{type(error).__name__}: {error}")

    def _leave_alone(self, retry_after: str | None) -> None:
        """Heed `Retry-After`: seconds, or a date."""
        if retry_after is None:
            return
        try:
            wait_s = float(retry_after)
        except ValueError:
            try:
                wait_s = parsedate_to_datetime(retry_after).timestamp() - time.time()
            except ValueError:
                return
        if wait_s > 0:
            self._free_at = max(self._free_at, time.monotonic() + min(wait_s, _LONGEST_WAIT_S))


def sign(key: bytes, body: bytes, now_s: int) -> str:
    """Return the header `Kith-Signature`: the time in epoch seconds, and the HMAC-SHA256 of `time.body` in hex."""
    digest = hmac.new(key, b"%d." % now_s + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"
