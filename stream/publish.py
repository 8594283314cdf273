"""Files of events into Kafka: each line, as it is, on the raw topic of its type.

A line is judged first, as a worker will judge it, so that mistakes are seen here. What is refused is published all the
same, because dead letters are made where all publishers' mistakes meet: in the worker.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from ingest.admit import Admission
from ingest.mapping import Mapping
from ingest.opening import STDIN
from ingest.sources import Line, Progress, check, read, total_bytes
from schemas.contract import FAMILIES
from schemas.errors import ConfigError, InvalidEvent, StateError, TransientError
from schemas.event import Rejected
from schemas.settings import Settings
from schemas.topics import MAX_MESSAGE_BYTES, Topic, raw_topic, topic
from stream.broker import Broker
from stream.connection import Connection

EVERY = 1_000
"""Lines between two looks at the clock and two reports of progress."""

QUEUED = 200_000
"""Messages that wait for the brokers at most."""

QUEUED_KB = 256 * 1024
"""And their size."""

FLUSH_S = 60.0
"""Seconds without any delivery after which the brokers are given up."""

NAMED = 3
"""Failures that an error names."""

OTHER = topic("events.customer")
"""Where a line goes whose type is not known."""

_TYPE = re.compile(rb'"type"\s*:\s*"([a-z0-9_.]+)"')

Report = Callable[[int, int, int], None]
"""Is told bytes read, bytes in all (0: not known), lines published."""


class Published(msgspec.Struct):
    """What was published: lines, by topic (its name in the table), and by reason those that a worker will refuse."""

    lines: int = 0
    topics: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    first_refused: str | None = None


def publish(
    connection: Connection,
    settings: Settings,
    paths: Sequence[str],
    mappings: Sequence[Mapping] | None = None,
    *,
    strict: bool = False,
    report: Report = lambda done, total, lines: None,
) -> Published:
    """Publish the lines of the files in their order; return the counts when all are delivered.

    The key of a message is the event's first identifier, so that a customer's events keep their order. With `strict`
    nothing is published unless all is valid: the files are read twice. Raises ConfigError for a file that cannot be
    read or, with `strict`, holds an invalid line; StateError if a topic is missing or a line too long for Kafka,
    TransientError if Kafka cannot be reached. What was published before that stays.
    """
    check(paths, mappings)
    _check_topics(connection)
    if strict:
        for path in paths:
            if path == STDIN or not Path(path).is_file():
                raise ConfigError(f"{path}: can be read only once, and --strict reads twice")
        _check_lines(settings, paths, mappings)
    return _Publishing(connection, settings).run(paths, mappings, report)


class _Publishing:
    """One run: the producer and the counters."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._address = connection.settings.brokers
        self._admit = Admission(settings).admit
        self._names: dict[str, str] = {}
        self._topic = connection.topic
        self._failures: list[str] = []
        self._failed = 0
        self._done = Published()
        self._producer = connection.producer(
            queue_buffering_max_messages=QUEUED,
            queue_buffering_max_kbytes=QUEUED_KB,
            message_max_bytes=MAX_MESSAGE_BYTES,
            batch_num_messages=10_000,
            delivery_report_only_error=True,
        )

    def run(self, paths: Sequence[str], mappings: Sequence[Mapping] | None, report: Report) -> Published:
        reached = Progress(total_bytes(list(paths)))
        counts: Counter[str] = Counter()
        producer = self._producer
        produce, poll = producer.produce, producer.poll
        now_ms = 0
        lines = 0
        try:
            for path in paths:
                for line in read(path, mappings, reached):
                    if lines % EVERY == 0:
                        poll(0)
                        report(reached.done, reached.total, lines)
                    # Workers read in the order of timestamps, which a clock that is set back must not turn round.
                    now_ms = max(now_ms, time.time_ns() // 1_000_000)
                    lines += 1
                    name, key, value = self._judge(line)
                    try:
                        produce(name, value, key, timestamp=now_ms, on_delivery=self._undelivered)
                    except BufferError:
                        self._wait(name, value, key, now_ms)
                    except KafkaException as error:
                        self._fail(f"{path}:{line.number}: {error.args[0].str()}")
                    counts[name] += 1
        except BaseException as error:
            self._flush()
            if isinstance(error, ConfigError) and lines:
                raise ConfigError(f"{error} ({lines:,} lines before that are published)") from error
            raise
        self._flush()
        report(reached.done, reached.done, lines)
        if self._failed:
            more = f" and {self._failed - NAMED:,} more" if self._failed > NAMED else ""
            raise StateError(f"{self._failed:,} of {lines:,} not published: {'; '.join(self._failures)}{more}")
        self._done.lines = lines
        prefix = len(self._topic(""))
        self._done.topics = Counter({name[prefix:]: count for name, count in counts.items()})
        return self._done

    def _judge(self, line: Line) -> tuple[str, str | None, bytes]:
        """Return the topic, key and value of a line's message."""
        text = line.event
        if isinstance(text, Rejected):
            self._refuse(line, text)
            return self._topic(OTHER.name), None, line.raw
        try:
            event = self._admit(text)
        except InvalidEvent as error:
            self._refuse(line, Rejected(error.reason, error.detail))
            return self._topic(probable_topic(text).name), None, text
        name = self._names.get(event.type)
        if name is None:
            name = self._names[event.type] = self._topic(_topic_of(event.type).name)
        return name, event.idents[0] if event.idents else event.id, text

    def _refuse(self, line: Line, why: Rejected) -> None:
        self._done.refused[why.reason] += 1
        if self._done.first_refused is None:
            self._done.first_refused = _place(line, why)

    def _wait(self, name: str, value: bytes, key: str | None, now_ms: int) -> None:
        """Queue a message that found no room, as soon as there is."""
        heard = time.monotonic()
        left = len(self._producer)
        while True:
            self._producer.poll(0.05)
            try:
                self._producer.produce(name, value, key, timestamp=now_ms, on_delivery=self._undelivered)
            except BufferError:
                if len(self._producer) < left:
                    heard, left = time.monotonic(), len(self._producer)
                self._give_up(heard)
            else:
                return

    def _flush(self) -> None:
        heard = time.monotonic()
        left = len(self._producer)
        while now := self._producer.flush(0.5):
            if now < left:
                heard, left = time.monotonic(), now
            self._give_up(heard)

    def _give_up(self, heard: float) -> None:
        if time.monotonic() - heard > FLUSH_S:
            raise TransientError(f"Kafka at {self._address} has taken nothing for {FLUSH_S:.0f} s")

    def _undelivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._fail(f"{message.topic()}: {error.str()}")

    def _fail(self, what: str) -> None:
        self._failed += 1
        if len(self._failures) < NAMED:
            self._failures.append(what)


def probable_topic(text: bytes) -> Topic:
    """Return where a line that is no event belongs, by its first `"type"`."""
    found = _TYPE.search(text)
    return OTHER if found is None else _topic_of(found[1].decode())


def _topic_of(event_type: str) -> Topic:
    return raw_topic(event_type) or OTHER


def _place(line: Line, why: Rejected) -> str:
    return f"{line.source}:{line.number}: {why.reason}: {why.detail}"


def _check_topics(connection: Connection) -> None:
    there = Broker(connection).topics()
    names = [connection.topic(f"events.{family}") for family in FAMILIES]
    missing = [name for name in names if name not in there]
    if missing:
        raise StateError(f"there is no topic {', '.join(missing)}: run kith topics create")


def _check_lines(settings: Settings, paths: Sequence[str], mappings: Sequence[Mapping] | None) -> None:
    """Raise ConfigError naming the first invalid lines."""
    admit = Admission(settings).admit
    problems = []
    count = 0
    for line in _lines(paths, mappings):
        why = line.event if isinstance(line.event, Rejected) else None
        if not isinstance(line.event, Rejected):
            try:
                admit(line.event)
            except InvalidEvent as error:
                why = Rejected(error.reason, error.detail)
        if why is not None:
            count += 1
            if count <= NAMED:
                problems.append(_place(line, why))
    if count > NAMED:
        problems.append(f"and {count - NAMED:,} more; nothing is published")
    if problems:
        raise ConfigError("\n".join(problems))


def _lines(paths: Sequence[str], mappings: Sequence[Mapping] | None) -> Iterator[Line]:
    for path in paths:
        yield from read(path, mappings)
