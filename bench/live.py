"""`python -m bench.live [--people N] [--events N] [--seconds S]`: what the live pipeline carries, and how soon.

A Kafka of one node and one worker process on this machine; the events are those of `bench.events`, in the order of
their times. Measured are, in microseconds of processor time per raw event and in events a second:

- the raw ceiling: one process that reads the raw topics, decodes and writes each event once, exactly once;
- the whole path, everything being published before the worker starts; then each stage alone, one after the other;
- the latency from publishing an event to its public profile, at half of the measured speed: first of people never
  seen (identify, resolve, profile), then of the same people again (identify, profile).

Time and processor time of a worker count from when it was first given partitions, so without its start.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
from confluent_kafka import TopicPartition

from bench.events import EVENTS_PER_PERSON, lines
from bench.pipeline import LivePipeline
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from schemas.times import format_ms
from schemas.topics import raw_topic
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection
from stream.lag import Lag
from stream.stage_identify import RAW_TOPICS

PUBLISHED_PER_S, PUBLISHED_US = 105_000, 13.0
"""Published figure of a keyed count, exactly once: events a second, and microseconds of processor time for each."""

BATCH = 5_000
PARTITIONS = 4
MOST_PER_S = 2_000
STAGES = ("identify", "resolve", "profile")
QUIET_S = 1.5
"""Seconds without a commit after which it is asked whether anything is left."""


class Measured(NamedTuple):
    """Events, seconds, and seconds of processor time of the process measured and of Kafka."""

    events: int
    seconds: float
    cpu: float
    kafka_cpu: float

    @property
    def per_s(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def us(self) -> float:
        """Microseconds of processor time per event."""
        return self.cpu / self.events * 1e6


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, help="a tenth of the events unless told, and at least that")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10, help="of each part of the latency run")
    given = parser.parse_args(arguments)
    people = given.people or -(-given.events // EVENTS_PER_PERSON)
    found = [(line, msgspec.json.decode(line)) for line in lines(people, -(-given.events // people))]
    found.sort(key=lambda pair: pair[1]["time"])
    events = [(event["type"], event["identifiers"]["device_id"], line.rstrip(b"\n")) for line, event in found]
    del events[given.events :]
    print(f"{len(events):,} events of {people:,} people; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}")
    print(f"published, keyed count exactly once: {PUBLISHED_PER_S:,} events/s, {PUBLISHED_US:.0f} us", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kith-live-") as folder,
        LocalKafka(Path(folder) / "kafka", guarded=True) as kafka,
    ):
        bench = Bench(Path(folder), kafka)
        bench.ceiling(events)
        speed = bench.path(events)
        bench.stages(events)
        bench.latency(min(speed / 2, MOST_PER_S), given.seconds)
    return 0


class Bench:
    """The runs, each with topics and a data folder of its own."""

    def __init__(self, folder: Path, kafka: LocalKafka) -> None:
        self.folder = folder
        self.brokers = kafka.bootstrap
        self.kafka = psutil.Process(next(iter(kafka.pids.values())))
        self.top: Measured | None = None

    def ceiling(self, events: Sequence[tuple[str, str, bytes]]) -> None:
        """Measure the raw ceiling; twice, since Kafka's code is compiled while the first runs."""
        settings = self._settings("raw")
        with LivePipeline(settings, self.folder / "raw"):
            connection = Connection(settings.kafka)
            Broker(connection).create([(connection.topic("bench.copies"), PARTITIONS, 1, {})])
            publish(connection, events)
            for name in ("raw ceiling, 1st run", "raw ceiling, 2nd run"):
                self.top = self._copied(connection, len(events), name[-7:-4])
                self._print(name, self.top)

    def _copied(self, connection: Connection, count: int, name: str) -> Measured:
        consumer = connection.consumer(f"bench.{name}")
        producer = connection.producer(
            transactional_id=f"bench.{name}", queue_buffering_max_messages=1_000_000, batch_num_messages=10_000
        )
        producer.init_transactions()
        decode, topic = msgspec.json.Decoder().decode, connection.topic("bench.copies")
        start: list[float] = []

        def assigned(*_: object) -> None:  # from here on it reads ahead
            start.extend((time.perf_counter(), time.process_time(), used(self.kafka)))

        consumer.subscribe([connection.topic(name) for name in RAW_TOPICS], on_assign=assigned)
        done = 0
        while done < count:
            messages = consumer.consume(BATCH, 0.2)
            if not messages:
                continue
            out = []
            for message in messages:
                value: Any = message.value()
                decode(value)
                out.append({"key": message.key(), "value": value})
            producer.begin_transaction()
            if producer.produce_batch(topic, out) != len(out):
                raise RuntimeError("the queue of the producer is full")
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
            )
            producer.commit_transaction()
            done += len(messages)
        end = (time.perf_counter(), time.process_time(), used(self.kafka))
        consumer.close()
        return Measured(done, *(after - before for after, before in zip(end, start[:3], strict=True)))

    def path(self, events: Sequence[tuple[str, str, bytes]]) -> float:
        """Measure all stages in one worker; return events a second."""
        settings = self._settings("whole")
        with LivePipeline(settings, self.folder / "whole") as live:
            publish(Connection(settings.kafka), events)
            found = self._drained(live, len(events), "whole path, one worker")
        return found.per_s

    def stages(self, events: Sequence[tuple[str, str, bytes]]) -> None:
        """Measure each stage alone, on what the one before has left."""
        settings = self._settings("alone")
        with LivePipeline(settings, self.folder / "alone") as live:
            publish(Connection(settings.kafka), events)
            for stage in STAGES:
                self._drained(live, len(events), f"{stage} alone", stage)

    def _drained(self, live: LivePipeline, count: int, name: str, stage: str | None = None) -> Measured:
        """Start a worker, wait until its stages have nothing left, stop it, print and return the measure."""
        logged = live.log.stat().st_size if live.log.exists() else 0
        started = live.start_worker(stage)
        worker = psutil.Process(started.pid)
        while not live.log.exists() or b": takes " not in live.log.read_bytes()[logged:]:
            if started.poll() is not None:
                raise RuntimeError(f"the worker has ended\n{live.tail()}")
            time.sleep(0.005)
        begun, cpu, kafka = time.perf_counter(), used(worker), used(self.kafka)
        connection = Connection(live.settings.kafka)
        watched = STAGES if stage is None else (stage,)
        broker, lag = Broker(connection), Lag(connection)
        places: list[Place] = [(connection.topic("events.identified"), number) for number in range(PARTITIONS)]
        if stage is not None and stage != "profile":
            topics = RAW_TOPICS if stage == "identify" else ("identity.requests",)
            there = broker.topics()
            full = [connection.topic(topic) for topic in topics]
            places = [(topic, number) for topic in full for number in range(there[topic])]
        at: dict[Place, int] = {}
        first = last = (begun, cpu, kafka)
        while True:
            now = broker.committed(connection.group(watched[-1]), places)
            moment = (time.perf_counter(), used(worker), used(self.kafka))
            if now != at:
                first = first if at else moment
                at, last = now, moment
            elif moment[0] - last[0] > QUIET_S:
                left = lag.left(lag.look())
                if at and not any(each in watched for each, _ in left):
                    break
            if started.poll() is not None or moment[0] - last[0] > 120:
                raise RuntimeError(f"no progress\n{live.tail()}")
            time.sleep(0.05)
        found = Measured(count, last[0] - begun, last[1] - cpu, last[2] - kafka)
        self._print(name, found, f"; first to last commit {last[0] - first[0]:.2f} s")
        print("    " + counters(Path(live.settings.worker.data)), flush=True)
        broker.close()
        lag.close()
        live.stop_worker(started)
        return found

    def latency(self, per_s: float, seconds: float) -> None:
        """Measure from publishing to the public profile."""
        settings = self._settings("soon")
        count = int(per_s * seconds)
        with LivePipeline(settings, self.folder / "soon", clock="live") as live:
            started = live.start_worker()
            while live.tail(1000).count(": takes ") < len(STAGES):
                if started.poll() is not None:
                    raise RuntimeError(f"the worker has ended\n{live.tail()}")
                time.sleep(0.1)
            time.sleep(2)
            arrivals = Arrivals(Connection(settings.kafka))
            arrivals.start()
            for events, name in ((1, "new people"), (2, "known people")):
                cpu, begun = used(psutil.Process(started.pid)), time.perf_counter()
                sent = paced(Connection(settings.kafka), count, per_s, events)
                took = time.perf_counter() - begun
                arrivals.wait(events, count)
                cpu = (used(psutil.Process(started.pid)) - cpu) / count * 1e6
                got = arrivals.at[events]
                waits = sorted((got[who] - at) * 1e3 for who, at in sent.items() if who in got)
                print(f"latency, {name}: {count / took:,.0f} events/s, worker {cpu:.0f} us/event", end="")
                print(f", {len(sent) - len(waits)} missing, load average {os.getloadavg()[0]:.2f}")
                show(waits)
            arrivals.stop()
            live.stop_worker(started)

    def _settings(self, prefix: str) -> Settings:
        return Settings.model_validate(
            {
                "kafka": {
                    "brokers": self.brokers,
                    "prefix": f"{prefix}.",
                    "partitions": PARTITIONS,
                    "replication": 1,
                },
                "worker": {"data": f"{self.folder}/{prefix}/data", "batch": BATCH, "api": {"port": 0}},
            }
        )

    def _print(self, name: str, found: Measured, more: str = "") -> None:
        top = self.top or found
        print(
            f"{name:<24} {found.per_s:>9,.0f} events/s {found.us:>7.1f} us/event "
            f"(Kafka {found.kafka_cpu / found.events * 1e6:.0f})"
            f"; of the ceiling {found.per_s / top.per_s:.2f}, us x{found.us / top.us:.1f}"
            f"; of the published {found.per_s / PUBLISHED_PER_S:.2f}, us x{found.us / PUBLISHED_US:.1f}{more}"
            f"; load {os.getloadavg()[0]:.2f}",
            flush=True,
        )


class Arrivals:
    """A thread that reads `profiles` and notes when each person was first seen with one event, and with two."""

    def __init__(self, connection: Connection) -> None:
        self.at: dict[int, dict[str, float]] = defaultdict(dict)
        self._consumer = connection.consumer("bench.arrivals", fetch_wait_max_ms=10)
        topic = connection.topic("profiles")
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def wait(self, events: int, count: int) -> None:
        """Return when so many people were seen with so many events, or nobody for ten seconds."""
        quiet, before = time.monotonic(), -1
        while len(self.at[events]) < count and time.monotonic() - quiet < 10:
            if len(self.at[events]) != before:
                quiet, before = time.monotonic(), len(self.at[events])
            time.sleep(0.1)

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        decode = msgspec.json.Decoder(_Profile).decode
        while not self._stopped.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None or message.value() is None:
                continue
            now = time.perf_counter()
            profile = decode(message.value() or b"")
            self.at[profile.events].setdefault(profile.identifiers[0], now)


class _Profile(msgspec.Struct):
    identifiers: list[str]
    events: int


def publish(connection: Connection, events: Sequence[tuple[str, str, bytes]]) -> None:
    """Publish to the raw topics; return when all is delivered."""
    producer = connection.producer(queue_buffering_max_messages=10_000_000)
    for kind, key, line in events:
        producer.produce(_topic(connection, kind), line, key)
    if producer.flush(120):
        raise RuntimeError("not everything could be published")


def paced(connection: Connection, count: int, per_s: float, turn: int) -> dict[str, float]:
    """Publish an event now of each of `count` people, so many a second; return when by identifier."""
    producer = connection.producer()
    sent: dict[str, float] = {}
    topic = _topic(connection, "product.viewed")
    begun = time.perf_counter()
    for number in range(count):
        while (ahead := begun + number / per_s - time.perf_counter()) > 0:
            producer.poll(0)
            time.sleep(min(ahead, 0.005))
        device = f"dv{number:014d}"
        event = {
            "id": f"now-{number:08d}-{turn}",
            "type": "product.viewed",
            "time": format_ms(int(time.time() * 1000)),
            "source": "bench",
            "identifiers": {"device_id": device},
            "data": {"sku": f"SKU{number % 5000:06d}", "category": "咖啡", "price": "59.90"},
        }
        sent[f"device_id:{device}"] = time.perf_counter()
        producer.produce(topic, msgspec.json.encode(event), device)
    producer.flush(30)
    return sent


def _topic(connection: Connection, kind: str) -> str:
    topic = raw_topic(kind)
    if topic is None:
        raise ValueError(f"no topic for {kind}")
    return connection.topic(topic.name)


def used(process: psutil.Process) -> float:
    """Return the seconds of processor time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def counters(data: Path) -> str:
    """Return what the worker has counted that explains its cost."""
    address = (data / "worker-0" / "address").read_text().strip().removeprefix("http://")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    names = (
        "events",
        "bounces",
        "parts_moved",
        "profiles_published",
        "dead_letters",
        "aborts",
        "late_events",
        "merges",
    )
    wanted = tuple(f"kith_{name}_total" for name in names)
    return ", ".join(line for line in text.splitlines() if line.startswith(wanted) and not line.endswith(" 0.0"))


def show(waits: Sequence[float]) -> None:
    """Print milliseconds, sorted, as a histogram with its quantiles."""
    if not waits:
        print("    nothing arrived")
        return
    low = 0.0
    for high in (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, float("inf")):
        number = sum(low <= wait < high for wait in waits)
        if number:
            print(f"    {low:>6,.0f} to {high:>6,.0f} ms {number:>7,} {'#' * -(-60 * number // len(waits))}")
        low = high
    p50, p95, p99 = (waits[min(len(waits) - 1, int(len(waits) * part))] for part in (0.5, 0.95, 0.99))
    print(f"    p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, longest {waits[-1]:.0f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
