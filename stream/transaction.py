"""One Kafka transaction per batch: outputs, changelog and input offsets together, or none of them.

What can go wrong, and what follows:

- a retriable error: the same call again, until its deadline;
- an error that asks for an abort (a rebalance moved the partitions, the coordinator is gone): `Aborted`, the batch
  never was, and the stage goes back to what is committed;
- a fatal error (another worker took our place) or a call that does not come back: the process starts anew. Python
  handles no signal inside such a call, so a thread watches the deadline.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from schemas.errors import StateError, TransientError
from stream.connection import Connection, milliseconds

log = logging.getLogger(__name__)

CALL_S = 10.0
"""Seconds that one transactional call may take before it is tried again."""

DEADLINE_S = 45.0
"""Seconds after which a call that was tried again and again, or that hangs, ends the process."""

MAX_MESSAGE_BYTES = 16 << 20
"""As the brokers' and the topics' limit: an event of the largest size with its address still fits."""


class Aborted(TransientError):  # noqa: N818  what happened, in Kafka's word
    """The transaction was aborted: the stage must go back to what is committed, and read its input again."""


class Outbox:
    """What one batch has to say, in order, by topic and partition. Of the topic `changelog` the last offsets are told.

    Messages are gathered by partition, since in a batch of librdkafka a partition of one message is not heeded.
    """

    __slots__ = ("changelog", "messages")

    def __init__(self, changelog: str | None = None) -> None:
        self.messages: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self.changelog = changelog

    def add(self, topic: str, key: str | bytes | None, value: bytes | None, partition: int = -1) -> None:
        """Add a message; `partition` -1 lets the key decide."""
        place = (topic, partition)
        known = self.messages.get(place)
        if known is None:
            self.messages[place] = [{"key": key, "value": value}]
        else:
            known.append({"key": key, "value": value})

    def __len__(self) -> int:
        return sum(map(len, self.messages.values()))


class Transactions:
    """The transactional producer of one stage of one worker. Made anew it ends what its former self left open."""

    def __init__(self, connection: Connection, transactional_id: str, timeout: str) -> None:
        self._producer = connection.producer(
            transactional_id=transactional_id,
            transaction_timeout_ms=milliseconds(timeout),
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_messages=5_000_000,
            queue_buffering_max_kbytes=2_000_000,
            batch_num_messages=10_000,
            # A transaction right after another is refused while the broker still ends the former one; by default the
            # next try is 100 ms later, which is most of what a commit then takes.
            retry_backoff_ms=5,
        )
        self._call("init_transactions", self._producer.init_transactions)

    def commit(self, outbox: Outbox, offsets: list[TopicPartition], group: Any) -> dict[int, int]:
        """Write the outbox and the input offsets in one transaction.

        Returns the offset of the last record in each partition of the outbox's changelog. Raises Aborted if it was not
        to be, StateError if another worker took this one's place.
        """
        producer = self._producer
        delivered: dict[int, int] = {}

        def told(error: Any, message: Any) -> None:
            if error is None:
                delivered[message.partition()] = message.offset()

        try:
            producer.begin_transaction()
            # The changelog comes last: by the time of its records it can be told which messages belong to them.
            for (topic, partition), messages in sorted(
                outbox.messages.items(), key=lambda item: item[0][0] == outbox.changelog
            ):
                if topic == outbox.changelog:
                    messages[-1]["callback"] = told
                if producer.produce_batch(topic, messages, partition) != len(messages):
                    self._again(topic, partition, messages)
                producer.poll(0)
            self._call("send_offsets", producer.send_offsets_to_transaction, offsets, group)
            self._call("commit", producer.commit_transaction)
        except KafkaException as error:
            self._abort(error)
            raise Aborted(f"transaction aborted: {error.args[0].str()}") from error
        producer.poll(0)
        return delivered

    def _again(self, topic: str, partition: int, messages: list[dict[str, Any]]) -> None:
        """Queue what found no room at first; a message that can never be queued ends the transaction."""
        for message in messages:
            error = message.pop("_error", None)
            message.pop("callback", None)
            while error is not None:
                try:
                    self._producer.produce(topic, partition=partition, **message)
                    error = None
                except BufferError:
                    self._producer.poll(0.1)

    def _abort(self, error: KafkaException) -> None:
        log.warning("transaction is aborted: %s", error.args[0].str())
        self._call("abort_transaction", self._producer.abort_transaction)

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Call until it succeeds, raise what asks for an abort, StateError for what is fatal."""
        deadline = time.monotonic() + DEADLINE_S
        wait = 0.05
        while True:
            try:
                with WATCHDOG.watch(name, DEADLINE_S):
                    function(*arguments, CALL_S)
            except KafkaException as error:
                what = error.args[0]
                if what.fatal():
                    raise StateError(f"{name}: {what.str()}: the worker starts anew") from error
                if what.txn_requires_abort() or not what.retriable():
                    raise
                if time.monotonic() > deadline:
                    raise StateError(f"{name}: {what.str()}: no success within {DEADLINE_S:.0f} s") from error
                log.warning("%s is tried again: %s", name, what.str())
                time.sleep(wait)
                wait = min(2 * wait, 1.0)
            else:
                return


class Watchdog:
    """A thread that starts the process anew when a call of librdkafka passes its deadline."""

    def __init__(self) -> None:
        self._deadlines: dict[int, tuple[float, str]] = {}
        self._thread: threading.Thread | None = None

    def watch(self, name: str, seconds: float) -> "_Watched":
        """Return a context in which the call `name` may take so many seconds (and a grace of ten)."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._thread.start()
        return _Watched(self._deadlines, name, seconds + 10)

    def _run(self) -> None:
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            for deadline, name in list(self._deadlines.values()):
                if now > deadline:
                    start_anew(f"{name} does not come back")


class _Watched:
    __slots__ = ("_deadlines", "_name", "_seconds")

    def __init__(self, deadlines: dict[int, tuple[float, str]], name: str, seconds: float) -> None:
        self._deadlines = deadlines
        self._name = name
        self._seconds = seconds

    def __enter__(self) -> None:
        self._deadlines[id(self)] = (time.monotonic() + self._seconds, self._name)

    def __exit__(self, *_: object) -> None:
        self._deadlines.pop(id(self), None)


WATCHDOG = Watchdog()

RESTARTS = "_KITH_RESTARTS"
"""Variable in which a process that starts itself anew counts how often in a row."""


def start_anew(why: str) -> None:
    """Replace this process by a fresh one with the same arguments and process id; what was not committed is undone."""
    count = int(os.environ.get(RESTARTS, "0")) + 1
    log.error("%s; the worker starts anew (%d)", why, count)
    os.environ[RESTARTS] = str(count)
    time.sleep(min(0.2 * count, 10))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  ourselves
