"""The Faust application: how it is made, and how it runs inside an event loop that belongs to somebody else.

    app = make_app(settings, connection, "w1", data)      # in any thread, with or without a running loop
    batches = BatchChannel(app, maxsize=2)
    @app.agent(batches) ...                               # agents, tables
    await run(app, stop)                                  # until `stop` is set, or raises what broke it

`run` starts the app as the service that it is (`app.start()`), not by Faust's own worker: that would take over signals,
logging, standard output and the loop, and end the process. A second worker runs its own app under the same id: they
share the partitions of the agents' topics.

Where Faust is not used as it comes, and why:

- Its channels lose what is put before an agent listens, and are emptied at each rebalance. `BatchChannel` is not.
- Its consumer reads uncommitted messages unless its own transactions are on. Ours reads committed ones.
- Its streams count a message as done when the agent's body ends in any way, by an error or by being cancelled, and
  when a rebalance throws it away unread; and in topics with gaps (transactions leave some) its consumer commits past
  messages still in work, or stands still. Here an offset is committed only when the agent has said `done(event)` for
  it and for all before it.

When a broker goes away Faust's clients try again until it is back. A commit or a send that fails for good crashes the
app, and so does an error in an agent, where Faust would go on with the next message: `run` then raises TransientError,
and the caller makes a new app. What was not done is read again.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import faust
from faust.transport.drivers import aiokafka
from faust.types import TP, TopicT
from mode.utils.queues import FlowControlEvent, ThrowableQueue
from yarl import URL

from schemas.errors import ConfigError, TransientError
from schemas.live_settings import KafkaSettings
from schemas.settings import Settings
from stream.connection import Connection, milliseconds, secret

log = logging.getLogger(__name__)

_QUIET_S = 30.0
_RESTART_S = 1.0
_RESTART_MAX_S = 60.0


def make_app(settings: Settings, connection: Connection, name: str, data: Path, group: str = "control") -> faust.App:
    """Return an app without agents, a member of the consumer group as `name`; its files go to `data`.

    Raises ConfigError if a secret or a certificate cannot be read.
    """
    data.mkdir(parents=True, exist_ok=True)
    session_s = milliseconds(settings.worker.session_timeout) / 1000
    app = faust.App(
        connection.group(group),
        broker=[URL(f"kafka://{broker.strip()}") for broker in settings.kafka.brokers.split(",")],
        broker_credentials=_credentials(settings.kafka, connection),
        broker_client_id=name,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 6,
        broker_request_timeout=max(20.0, session_s),
        broker_rebalance_timeout=max(20.0, session_s),
        broker_commit_interval=0.5,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        # A broker that restarts takes its time; what is sent meanwhile waits for it.
        producer_request_timeout=120.0,
        datadir=str(data),
        key_serializer="raw",
        value_serializer="raw",
        # `kith topics create` makes all topics; Faust's own leader topic serves timers that are not used.
        topic_allow_declare=False,
        topic_disable_leader=True,
        # At a stop nobody waits for the deliveries under way: they have not been done, so they are read again.
        stream_wait_empty=False,
        # Tables are small: they are in memory, and read from their changelog at the start.
        store="memory://",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.finalize()
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


async def run(
    app: faust.App, stop: asyncio.Event, ready: asyncio.Event | None = None, patience_s: float = 10.0
) -> None:
    """Start the app in the running loop, set `ready` once its agents run, go on until `stop` is set; then stop it.

    Stopping takes no longer than `patience_s`. Raises TransientError if the app could not start or broke; what broke
    it is the cause. Cancelled, it stops the app too.
    """
    if not any(isinstance(agent.channel, TopicT) for agent in app.agents.values()):
        # Faust cannot consume nothing; with channels only it needs no Kafka of its own.
        app.boot_strategy.enable_kafka = False
    with _quiet_logs():
        starting = asyncio.ensure_future(_started(app, ready))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                ended = asyncio.ensure_future(app.wait_until_stopped())
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await _cancelled(ended)
        except Exception as error:
            brokers = ", ".join(url.authority for url in app.conf.broker)
            raise TransientError(f"{app.conf.id} cannot start with Kafka at {brokers}: {error!r}") from error
        finally:
            await _cancelled(starting)
            await _cancelled(stopping)
            try:
                await asyncio.wait_for(app.stop(), patience_s)
            except Exception as error:
                log.warning("%s did not stop as it should: %r", app.conf.id, error)
            await _thread_gone(app, patience_s)
        if app.crashed:
            raise TransientError(f"{app.conf.id} stopped working: {app.crash_reason!r}") from app.crash_reason


async def keep_running(make: Callable[[], faust.App]) -> None:
    """Run an app for ever, beside others: when it breaks say so, and run a new one after a while."""
    wait_s = _RESTART_S
    while True:
        began = time.monotonic()
        app = make()
        try:
            await run(app, asyncio.Event())
        except TransientError as error:
            if time.monotonic() - began > _RESTART_MAX_S:
                wait_s = _RESTART_S
            log.warning("%s: %s; it starts anew in %d s", app.conf.id, error, wait_s)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _RESTART_MAX_S)


async def publish(app: faust.App, topic: str, key: bytes | None, value: bytes, partition: int | None = None) -> None:
    """Publish to a topic (full name) and wait until all replicas have it. Raises what Kafka says if that fails."""
    await app.producer.send_and_wait(topic, key, value, partition, None, None)


async def _started(app: faust.App, ready: asyncio.Event | None) -> None:
    await app.start()
    if ready is not None:
        ready.set()


async def _thread_gone(app: faust.App, patience_s: float) -> None:
    """Wait for the consumer's thread, which after a crash ends by itself, and close its loop if it never ran."""
    service = getattr(app._consumer, "_thread", None)
    if service is None:
        return
    if service._thread is not None:
        await asyncio.to_thread(service._thread.join, patience_s)
    if not service.thread_loop.is_running():
        service.thread_loop.close()


async def _cancelled(future: "asyncio.Future[Any]") -> None:
    future.cancel()
    await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # told, or of no interest any more


def done(event: Any) -> None:
    """Say that a message of a Faust topic is worked off; until then its offset is not committed."""
    event.app.consumer.done(event.message)
    event.ack()


class BatchChannel(faust.Channel[Any]):
    """A channel inside the process, of at most `maxsize` values: none is dropped, each goes to one agent.

    `put` waits while it is full. Values may be put before the agent has started; they also stay in it when the app
    stops, and are then the caller's to look after.
    """

    def __init__(self, app: faust.App, **options: Any) -> None:
        super().__init__(app, **options)
        if self._queue is None:
            flow = FlowControlEvent(initially_suspended=False)
            self._queue = ThrowableQueue(self.maxsize or 0, flow_control=flow)

    def _clone_args(self) -> dict[str, Any]:
        return {**super()._clone_args(), "queue": self._queue}

    async def put(self, value: Any) -> None:
        """Add a value; wait while the channel is full."""
        await self.queue.put(value)


class _Consumer(aiokafka.Consumer):
    """A consumer that commits exactly what was said to be done."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open: dict[TP, set[int]] = {}
        self._next: dict[TP, int] = {}
        self._deliver: Callable[[Any], Awaitable[None]] = self.callback
        self.callback = self._read

    async def _read(self, message: Any) -> None:
        if self.app.topics.acks_enabled_for(message.topic):
            self._open.setdefault(message.tp, set()).add(message.offset)
            self._next[message.tp] = message.offset + 1
        await self._deliver(message)

    def done(self, message: Any) -> None:
        """Mark a message as worked off; one that was read before the last rebalance is read again anyhow."""
        if message.generation_id == self.app.consumer_generation_id:
            self._open.get(message.tp, set()).discard(message.offset)

    async def on_task_error(self, exc: BaseException) -> None:
        """Stop the whole app when an agent fails."""
        await self.app.crash(exc)

    async def commit_and_end_transactions(self) -> None:
        """Commit at a stop or when partitions go; after a crash the thread that could do so is gone."""
        if not self.crashed:
            await super().commit_and_end_transactions()

    async def perform_seek(self) -> None:
        """Go back to what is committed: what was read beyond will be read again."""
        self._forget()
        await super().perform_seek()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit no more for partitions that somebody else gets."""
        await super().on_partitions_revoked(revoked)
        self._forget()

    def _forget(self) -> None:
        self._open.clear()
        self._next.clear()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._next) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        return min(self._open.get(tp) or {self._next[tp]})

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps need no book: an offset counts when its message is read."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing about partitions in which nothing happens."""

    def _new_consumer_thread(self) -> aiokafka.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    async def stop(self) -> None:
        """Stop the thread; after a crash it has ended by itself, and its loop with it."""
        if not self.thread_loop.is_closed():
            await super().stop()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # read when it starts; there is no setting for it
        return consumer


class _Transport(aiokafka.Transport):
    Consumer: ClassVar[type[Any]] = _Consumer


def _credentials(kafka: KafkaSettings, connection: Connection) -> Any:
    security = kafka.security
    if security.protocol == "plaintext":
        return None
    context = _tls(kafka, connection) if security.protocol.endswith("ssl") else None
    if security.protocol == "ssl":
        return faust.SSLCredentials(context)
    options = connection.options()  # where the connection has read the secrets
    return faust.SASLCredentials(
        username=options["sasl.username"],
        password=options["sasl.password"],
        mechanism=security.mechanism,
        ssl_context=context,
    )


def _tls(kafka: KafkaSettings, connection: Connection) -> ssl.SSLContext:
    security = kafka.security
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.cert_file is not None:
            password = secret("kafka.security.key_password_file", security.key_password_file, None, {})
            context.load_cert_chain(security.cert_file, security.key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"kafka.security: the certificates cannot be used: {error}") from None
    if connection.options().get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    return context


class _Once(logging.Filter):
    """Let the same message of a log pass only every half minute: without a broker there are dozens a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._last.get(key, -_QUIET_S) < _QUIET_S:
            return False
        self._last[key] = now
        return True


_NOISY = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    once = _Once()
    loggers = [logging.getLogger(name) for name in _NOISY]
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)
