"""`python -m bench.api [REQUESTS]`: milliseconds to a profile over HTTP while the process is busy.

A worker's HTTP side answers in the process of the stages, which keep one thread busy with Python. So here a thread
counts all the time, in batches of work as long as it is let; the client is a process of its own, asks one question at a
time, and the people come out of a store on disk. What the requests cost the busy thread is told too.
"""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from bench.events import lines
from identity.policy import Policy
from ingest.admit import Admission
from profiles.fold import Folder
from profiles.part import new_part
from schemas.settings import Settings
from stream.api import ApiServer
from stream.connection import Connection
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph
from stream.metrics import Metrics
from stream.person import Person, freeze
from stream.store import Store

PEOPLE = 2_000
KEY = "bench"


class OneWorker:
    """What the API asks a worker: here one that has everybody in one partition."""

    follows = True
    partitions = 1

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.connection = Connection(settings.kafka)
        self.view = GraphView()
        self.idents: list[str] = []
        self._now_ms = 0
        self._store = Store(folder / "store")
        self._fill(settings)

    def _fill(self, settings: Settings) -> None:
        events = sorted(map(Admission(settings).admit, lines(PEOPLE)), key=lambda event: (event.time_ms, event.id))
        graph = LiveGraph(Policy.from_settings(settings), settings.space)
        graph.mark()
        for event in events:
            graph.observe(event)
        self.view.apply(0, list(graph.changed()), 1)
        fold = Folder(settings).fold
        people: dict[str, Person] = {}
        for event in events:
            ident = event.idents[0]
            one_id = self.view.one_id(ident) or ""
            person = people.setdefault(one_id, Person(one_id))
            if ident not in person.parts:
                person.parts[ident] = new_part(ident)
            fold(person.parts[ident], event)
        self._store.write({one_id.encode(): freeze(person) for one_id, person in people.items()}, 1)
        self._now_ms = events[-1].time_ms
        self.idents = [event.idents[0] for event in events[::7]]

    def store(self, partition: int) -> Store | None:
        """Return the store."""
        return self._store

    def now_ms(self) -> int:
        """Return the time of the last event."""
        return self._now_ms

    def problems(self) -> list[str]:
        """Nothing is wrong."""
        return []

    def close(self) -> None:
        """Close the stores."""
        self.view.close()
        self._store.close()


def ask(address: str, paths: list[str]) -> None:
    """Print the milliseconds of each request, one after the other."""
    connection = http.client.HTTPConnection(*address.rsplit(":", 1))  # type: ignore[arg-type]  a port as text will do
    for path in paths:
        started = time.perf_counter()
        connection.request("GET", path, headers={"X-API-Key": KEY})
        answer = connection.getresponse()
        answer.read()
        print((time.perf_counter() - started) * 1000 if answer.status == 200 else "nan")
    connection.close()


def main(requests: int) -> None:
    """Measure and print the table."""
    settings = Settings.model_validate({"worker": {"api": {"port": 0}}})
    with tempfile.TemporaryDirectory() as folder:
        worker = OneWorker(settings, Path(folder))
        api = ApiServer(settings, Metrics(), worker, {**os.environ, "API_KEY": KEY})
        address = api.start()
        turns = 0
        stopped = threading.Event()

        def burn() -> None:
            nonlocal turns
            while not stopped.is_set():
                sum(number * number for number in range(1000))
                turns += 1

        def measure(name: str) -> None:
            pairs = [worker.idents[number % len(worker.idents)].partition(":") for number in range(requests)]
            paths = [f"/profiles/{kind}/{quote(value, safe='')}" for kind, _, value in pairs]
            before, started = turns, time.perf_counter()
            command = [sys.executable, "-m", "bench.api", "ask", address]
            done = subprocess.run(command, input="\n".join(paths), text=True, capture_output=True, check=True)  # noqa: S603
            rate = (turns - before) / (time.perf_counter() - started)
            found = sorted(map(float, done.stdout.split()))
            p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
            print(f"{name:34} {p50:7.1f} {p99:7.1f} {found[-1]:7.1f} {rate:10,.0f}")

        print(f"{'milliseconds':34} {'p50':>7} {'p99':>7} {'most':>7} {'busy/s':>10}")
        measure("idle")
        busy = threading.Thread(target=burn)
        busy.start()
        was = sys.getswitchinterval()
        for seconds in (0.005, 0.002, 0.001):
            sys.setswitchinterval(seconds)
            before = turns
            time.sleep(2)
            print(f"{f'busy, nobody asks, {seconds * 1000:g} ms a turn':34} {(turns - before) / 2:34,.0f}")
            measure(f"busy, {seconds * 1000:g} ms a turn")
        sys.setswitchinterval(was)
        stopped.set()
        busy.join()
        api.stop()
        worker.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        ask(sys.argv[2], sys.stdin.read().split())
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 1_000)
