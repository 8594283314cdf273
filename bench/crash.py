"""`python -m bench.crash [--kills N] [--events N] [--seed S]`: workers and brokers killed while events flow.

A generated shop (merges, splits by a steward, duplicates, late and malformed events, due triggers) goes through two
workers and a Kafka of one node. At random moments a worker or the broker is killed (SIGKILL) and started again, a
worker is stopped (SIGSTOP) beyond its session and woken as a zombie, the connection to the broker is cut (`cut`,
`silent` if nobody is told) for longer than a session. Afterwards people and profiles must be, row for
row, those of the replay; every trigger must be there once; and `kith verify` must find no difference in the lake.

Prints what was done, the longest time without progress after each kill, and the differences; exit 1 if there are any.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.pipeline import LivePipeline, differences, rows
from bench.proxy import Proxy, proxied
from deploy.kafka_local import LocalKafka
from ingest.generator import generate
from schemas.errors import TransientError
from schemas.settings import Settings
from stream.broker import Broker
from stream.connection import Connection
from stream.replay import replay
from stream.stage_identify import RAW_TOPICS


def main(arguments: Sequence[str]) -> int:
    """Run with what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--what", default="worker,broker,zombie,cut", help="what may happen, with commas")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="kith-crash-") as folder,
        Proxy() as proxy,
        proxied(Path(folder) / "kafka", proxy) as kafka,
    ):
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": proxy.bootstrap, "partitions": 4, "replication": 1},
                "worker": {
                    "data": f"{folder}/data",
                    "batch": 1000,
                    "people_in_memory": 1000,  # a fifth of them all: the others lie in the stores
                    "identifiers_in_memory": 2000,
                    "api": {"port": 0},
                },
                "lake": {"every": "5s"},
            }
        )
        run = CrashRun(settings, kafka, Path(folder), given.seed, proxy)
        found = run.go(given.events, given.kills, given.what.split(","))
    for line in found:
        print(line)
    return 1 if found else 0


WAIT_S = 600
"""Seconds to wait for everything to be worked off."""

CUT_S = 8
"""Seconds for which the connection is cut, more than a worker's session."""


class CrashRun:
    """One run; `go` returns what is wrong afterwards, one text each. Cuts need a proxy."""

    def __init__(
        self, settings: Settings, kafka: LocalKafka, folder: Path, seed: int, proxy: Proxy | None = None
    ) -> None:
        self.settings = settings
        self.kafka = kafka
        self.proxy = proxy
        self.folder = folder
        self.random = random.Random(seed)
        self.seed = seed
        self.pauses: list[float] = []
        self.done: Counter[str] = Counter()
        self._progress = Progress(Connection(settings.kafka))

    def go(self, events: int, kills: int, what: Sequence[str]) -> list[str]:
        """Publish so many events, and let so many things happen meanwhile."""
        lines = shop(events, self.seed)
        source = self.folder / "events.jsonl"
        source.write_bytes(b"".join(line + b"\n" for line in lines))
        summary = replay([str(source)], self.folder / "replayed", self.settings)
        print(
            f"{len(lines)} lines, {summary['events']} events, {summary['people']} people, {summary['merged']} merged, "
            f"{summary['split']} split, {summary['triggers']} triggers",
            flush=True,
        )
        with LivePipeline(self.settings, self.folder / "live") as live:
            for _ in range(2):
                live.start_worker()
            self._progress.start()
            size = -(-len(lines) // (kills + 1))
            happenings = [what[number % len(what)] for number in range(kills)]
            self.random.shuffle(happenings)
            for number, start in enumerate(range(0, len(lines), size)):
                publisher = threading.Thread(target=self._publish, args=(live, lines[start : start + size]))
                publisher.start()
                if start + size < len(lines):
                    time.sleep(self.random.uniform(0.5, 4))
                    self._happen(live, happenings[number])
                publisher.join()
            live.wait(float(WAIT_S))
            self._progress.stop()
            live.advance(summary["until"])
            out = live.export(self.folder / "exported")
            live.wait(float(WAIT_S))
            audited = live.verify()
            restarts = live.log.read_text(errors="replace").count("starts anew")
        print(f"done: {dict(self.done)}; fresh starts of workers by themselves: {restarts}", flush=True)
        if self.pauses:
            ordered = sorted(self.pauses)
            median = ordered[len(ordered) // 2]
            print(f"time until progress after each: median {median:.1f} s, longest {ordered[-1]:.1f} s")
        return [*check(self.folder / "replayed", out), *audited]

    def _publish(self, live: LivePipeline, lines: list[bytes]) -> None:
        """Publish; where the broker is killed meanwhile all of it again, which makes duplicates."""
        for left in range(4, -1, -1):
            try:
                live.publish(lines)
                return
            except TransientError as error:
                if not left:
                    raise
                print(f"published again: {error}"[:200], flush=True)

    def _happen(self, live: LivePipeline, what: str) -> None:
        self.done[what] += 1
        worker = self.random.choice(live.workers)
        began = time.monotonic()
        if what == "broker":
            self.kafka.kill()
            time.sleep(self.random.uniform(0, 2))
            self.kafka.start()
        elif what == "zombie":
            worker.send_signal(signal.SIGSTOP)
            time.sleep(9)
            worker.send_signal(signal.SIGCONT)
        elif what in ("cut", "silent") and self.proxy is not None:
            self.proxy.cut(silent=what == "silent")
            time.sleep(CUT_S)
            self.proxy.open()
        else:
            live.stop_worker(worker, signal.SIGKILL)
            live.start_worker()
        at = self._progress.at
        while self._progress.at == at and not self._progress.idle and time.monotonic() - began < 120:
            time.sleep(0.05)
        self.pauses.append(time.monotonic() - began)


class Progress:
    """Watches how far the profile stage has come.

    `longest_s` is the longest time between two looks at which it had come further, while one of the stages had
    something to read; looks are some 0.3 s apart.
    """

    def __init__(self, connection: Connection) -> None:
        self.at = 0
        self.idle = False
        self.longest_s = 0.0
        self._connection = connection
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        broker = Broker(self._connection, answer_s=5)
        topics: dict[str, int] = {}
        moved = time.monotonic()
        topic, group = self._connection.topic, self._connection.group
        inputs = {"identify": RAW_TOPICS, "resolve": ["identity.requests"], "profile": ["events.identified"]}
        while not self._stopped.wait(0.2):
            try:
                topics = topics or broker.topics()
                offsets = {stage: broker.committed(group(stage)) for stage in inputs}
                ends = {
                    stage: broker.ends(
                        [(topic(name), number) for name in names for number in range(topics[topic(name)])]
                    )
                    for stage, names in inputs.items()
                }
            except Exception:  # noqa: S112  it is being killed
                continue
            at, now = sum(offsets["profile"].values()), time.monotonic()
            if not self.idle:
                self.longest_s = max(self.longest_s, now - moved)
            self.idle = all(
                offsets[stage].get(place, 0) >= end for stage in inputs for place, end in ends[stage].items()
            )
            if at != self.at or self.idle:
                self.at, moved = at, now


def shop(events: int, seed: int) -> list[bytes]:
    """About so many lines of a generated shop, with a steward who links and unlinks people."""
    customers = max(20, events // 54)
    lines = [bytes(line).rstrip(b"\n") for line in generate(customers, 365, seed)]
    r = random.Random(seed)
    people: list[dict[str, Any]] = []
    for line in lines:
        if b'"customer.identified"' in line and len(people) < 400:
            try:
                people.append(json.loads(line))
            except ValueError:
                continue
    commands: list[tuple[int, bytes]] = []
    for number in range(len(people) // 2):
        a, b = (r.choice(people) for _ in range(2))
        ends = [_end(person) for person in (a, b)]
        if None in ends or ends[0] == ends[1] or not ("time" in a and "time" in b):
            continue
        at = max(a["time"], b["time"], key=str)
        for what in ("customer.linked", "customer.unlinked")[: 1 + number % 2]:
            data = {"a": ends[0], "b": ends[1], "reason": "by hand"}
            event = {"id": f"steward-{number}-{what}", "type": what, "time": at, "source": "steward", "data": data}
            commands.append((r.randrange(len(lines)), json.dumps(event).encode()))
    for place, line in sorted(commands, reverse=True):
        lines.insert(place, line)
    return lines


def _end(event: dict[str, Any]) -> dict[str, str] | None:
    for kind, value in event.get("identifiers", {}).items():
        return {"kind": kind, "value": value[0] if isinstance(value, list) else value}
    return None


def check(replayed: Path, exported: Path) -> list[str]:
    """Return what is wrong: other people and profiles than the replay's, other triggers though nobody was late."""
    found = differences(replayed, exported, ["identities", "profiles"])
    expected, live = rows(replayed, "triggers"), rows(exported, "triggers")
    late = set(pq.read_table(exported / "late_events.parquet").column("one_id").to_pylist())
    different = [key for key in sorted(expected.keys() | live.keys()) if expected.get(key) != live.get(key)]
    for key in different:
        row = live.get(key) or expected[key]
        if row["one_id"] not in late:
            found.append(
                f"trigger {key} of {row['one_id']}, for whom nothing was late: replayed {expected.get(key)}, "
                f"live {live.get(key)}"
            )
    print(
        f"triggers: {len(expected)} replayed, {len(live)} live, {len(different)} differ, all of them of the "
        f"{len(late)} people with late events"
        if len(found) == 0
        else f"triggers: {len(expected)} replayed, {len(live)} live, {len(different)} differ"
    )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
