"""`python -m bench.restart [--people N]`: how long a worker with so many people takes to be at work again.

Their state is written straight into Kafka (`bench.seeded`). Then one worker with all stages but the lake is started:
from nothing but the changelogs; again after it was stopped; again after SIGKILL. Each time an event of a known person
waits, and the times are until it is worked off and until the resolver has its graph too. Then the resolver alone,
with the store of its graph and without. Memory is the worker's at that time and at its most; a killed worker's
place in its groups is free only after its session's end.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.load import Publisher
from bench.measure import Watched, disk_bytes
from bench.pipeline import LivePipeline
from bench.seeded import seed
from cli.workers import PEOPLE
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from schemas.times import format_ms
from stream.connection import Connection

PARTITIONS = 4
TIMEOUT_S = 1800.0
_TOLD = re.compile(r"(copy of the identity graph is complete|records of the (?:changelog|identity graph) read)")
_RESOLVED = re.compile(r"resolve: (\d+) records of the identity graph read in (\S+) s")


class Restarts:
    """One pipeline whose worker is started again and again."""

    def __init__(self, live: LivePipeline, kafka: LocalKafka) -> None:
        self._live = live
        self._kafka = kafka
        self._connection = live.connection
        self._events = 0
        self._data = Path(live.settings.worker.data) / "worker-0"

    def all_stages(self, name: str, end: int) -> None:
        """Start a worker, print how long it took to work, and end it with a signal."""
        self._publish()
        told = self._log_bytes()
        started = time.perf_counter()
        worker = self._live.start_worker(PEOPLE)
        watched = Watched(self._live, worker, [])
        ready_s = event_s = now = 0.0
        while not (ready_s and event_s and _RESOLVED.search(self._log_since(told))):
            time.sleep(0.05)
            now = time.perf_counter() - started
            if not ready_s:
                answer = watched.get("/ready")
                ready_s = now if answer is not None and answer[0] == 200 else 0.0
            if not event_s:
                look = watched.look()
                worked = look is not None and look.commits.get("profile", 0) and look.worked.get("profile", 0)
                event_s = now if worked else 0.0
            if now > TIMEOUT_S:
                raise RuntimeError(f"not at work after {now:.0f} s\n{self._live.tail()}")
        print(
            f"{name}: the event is worked off after {event_s:.1f} s, the resolver is there after {now:.1f} s "
            f"(/ready after {ready_s:.1f} s); {watched.cpu_s:.1f} s of CPU, "
            f"memory {watched.rss_bytes / 2**20:,.0f} MiB, at most {_most_bytes(worker.pid) / 2**20:,.0f} MiB"
        )
        for line in self._log_since(told).splitlines():
            if _TOLD.search(line):
                print(f"    {line.split(': ', 1)[1]}")
        began = time.perf_counter()
        self._live.stop_worker(worker, end)
        print(f"    ended by {signal.Signals(end).name} within {time.perf_counter() - began:.1f} s", flush=True)

    def resolver(self, name: str) -> None:
        """Start the resolver alone and print how long it took to have its graph."""
        told = self._log_bytes()
        started = time.perf_counter()
        worker = self._live.start_worker("resolve")
        while (found := _RESOLVED.search(self._log_since(told))) is None:
            if worker.poll() is not None or time.perf_counter() - started > TIMEOUT_S:
                raise RuntimeError(f"the resolver has no graph\n{self._live.tail()}")
            time.sleep(0.05)
        print(
            f"{name}: {time.perf_counter() - started:.1f} s from its start, {found[2]} s for the graph, "
            f"{int(found[1]):,} records read; memory at most {_most_bytes(worker.pid) / 2**20:,.0f} MiB"
        )
        began = time.perf_counter()
        self._live.stop_worker(worker)
        print(f"    ended within {time.perf_counter() - began:.1f} s", flush=True)

    def without_store(self) -> None:
        """Remove the store of the resolver's graph."""
        shutil.rmtree(self._data / "resolver")

    def print_disk(self) -> None:
        """Print what lies on disk."""
        stores = {
            "people": disk_bytes(*self._data.glob("profile-*")),
            "copy of the graph": disk_bytes(self._data / "graph"),
            "store of the graph": disk_bytes(self._data / "resolver"),
            "Kafka": disk_bytes(self._kafka.home),
        }
        print("disk:", ", ".join(f"{name} {size / 2**20:,.0f} MiB" for name, size in stores.items()), flush=True)

    def _publish(self) -> None:
        self._events += 1
        at = format_ms(int(time.time() * 1000))
        line = (
            f'{{"id":"again-{self._events}","type":"page.viewed","time":"{at}","source":"bench",'
            f'"identifiers":{{"device_id":"dv{self._events:014d}"}},"data":{{"url":"https://shop.example.com/"}}}}'
        )
        publisher = Publisher(self._connection)
        publisher.send(line.encode())
        publisher.close()

    def _log_bytes(self) -> int:
        return self._live.log.stat().st_size if self._live.log.exists() else 0

    def _log_since(self, size: int) -> str:
        with self._live.log.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    print(f"load average before: {_load()}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kith-restart-") as folder,
        LocalKafka(Path(folder) / "kafka", guarded=True) as kafka,
    ):
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": kafka.bootstrap, "partitions": PARTITIONS, "replication": 1},
                "worker": {"data": f"{folder}/data", "api": {"port": 0}},
            }
        )
        with LivePipeline(settings, Path(folder) / "live") as live:
            started = time.perf_counter()
            records = seed(Connection(settings.kafka), settings, given.people, PARTITIONS)
            print(f"{given.people:,} people, {records:,} records written in {time.perf_counter() - started:.1f} s")
            restarts = Restarts(live, kafka)
            restarts.all_stages("from nothing", signal.SIGTERM)
            restarts.print_disk()
            restarts.all_stages("from its stores", signal.SIGKILL)
            restarts.all_stages("after SIGKILL", signal.SIGTERM)
            restarts.resolver("resolver alone, with its store")
            restarts.without_store()
            restarts.resolver("resolver alone, without its store")
            restarts.print_disk()
    print(f"load average after: {_load()}")


def _most_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _load() -> str:
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


if __name__ == "__main__":
    main(sys.argv[1:])
