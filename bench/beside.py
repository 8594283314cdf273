"""`python -m bench.beside [--events N] [--rounds N]`: what a snapshot costs a pipeline at full speed, and its readers.

One worker with all stages works backlogs of equal size off, in turn alone and while `kith snapshot` runs again and
again beside it, with low priority as in a worker's schedule. Prints the median speed of both kinds of rounds and their
ratio, how many snapshots were made and how long one took. Each snapshot must be consistent: its people have exactly the
events that it counts. A reader has one open all the time and asks it; no answer may change or fail.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from bench.load import mixed, publish
from bench.pipeline import LivePipeline
from bench.speed import ALL, Bench
from deploy.kafka_local import LocalKafka
from stream.schedule import CHEAP

_SUMS = "SELECT (SELECT sum(events) FROM people), (SELECT count(*) FROM events WHERE part IS NOT NULL)"


class Snapshots:
    """Makes snapshots, one after the other, while it is told to."""

    def __init__(self, live: LivePipeline, out: Path) -> None:
        self._command = ["nice", "-n", str(CHEAP), sys.executable, "-m", "cli.main", "snapshot"]
        self._command += ["--config", str(live.config), "--out", str(out)]
        self._command += ["--wait", "0", "--processes", "1", "--json", "--quiet"]
        self._out = out
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self._stopped = threading.Event()

    def make(self) -> None:
        """Make one, and look whether it is consistent."""
        began = time.perf_counter()
        done = subprocess.run(self._command, capture_output=True, text=True, check=False)  # noqa: S603  ourselves
        if done.returncode:
            self.wrong.append(done.stderr.strip()[-300:])
            return
        self.seconds.append(time.perf_counter() - began)
        with duckdb.connect() as made:
            for table in ("people", "events"):
                made.execute(f"CREATE VIEW {table} AS FROM '{self._out / table}.parquet'")
            [(people, events)] = made.execute(_SUMS).fetchall()
        odd = json.loads(done.stdout)["parts_with_other_events"]
        if people != events or odd:
            self.wrong.append(f"people have {people} events, the table {events}; {odd} identifiers differ")

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Make them until the block ends."""
        self._stopped.clear()
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.make()


class Reader:
    """Has a snapshot open and asks it the same again and again."""

    def __init__(self, path: Path) -> None:
        self.asked = 0
        self.wrong: list[str] = []
        self._stopped = threading.Event()
        self._path = path
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with duckdb.connect(str(self._path), read_only=True, config={"threads": 1}) as snapshot:
            expected = snapshot.execute(_SUMS).fetchall()
            while not self._stopped.wait(0.2):
                try:
                    found = snapshot.execute(_SUMS).fetchall()
                except duckdb.Error as error:
                    self.wrong.append(str(error))
                    return
                self.asked += 1
                if found != expected:
                    self.wrong.append(f"{found} in place of {expected}")


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.beside", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="kith-beside-") as folder,
        LocalKafka(Path(folder) / "kafka", guarded=True) as kafka,
    ):
        bench, events = Bench(kafka, Path(folder)), mixed(given.events * (2 * given.rounds + 1) // 10)
        rounds = [events[start : start + given.events] for start in range(0, len(events), given.events)]
        speeds: dict[bool, list[float]] = {False: [], True: []}
        with bench.pipeline("beside") as live:
            out = Path(folder) / "out"
            snapshots, connection = Snapshots(live, out), live.connection
            publish(connection, rounds[0])
            bench.run(live, ALL, None)
            snapshots.make()
            reader = Reader(out / "kith.duckdb")
            for number, some in enumerate(rounds[1:]):
                publish(connection, some)
                if number % 2:
                    with snapshots.beside():
                        stretch = bench.run(live, ALL, None)
                else:
                    stretch = bench.run(live, ALL, None)
                speeds[bool(number % 2)].append(len(some) / stretch.seconds)
            reader.stop()
    return _tell(speeds, snapshots, reader)


def _tell(speeds: dict[bool, list[float]], snapshots: Snapshots, reader: Reader) -> int:
    alone, beside = statistics.median(speeds[False]), statistics.median(speeds[True])
    print(f"pipeline beside snapshots: {beside / alone:.2f} of its speed alone")
    print(f"{beside:,.0f} to {alone:,.0f} events/s, medians of {len(speeds[True])} rounds each")
    took = statistics.median(snapshots.seconds)
    print(f"snapshots made: {len(snapshots.seconds)}, {took:.1f} s each (median); answers of a reader: {reader.asked}")
    wrong = snapshots.wrong + reader.wrong
    print(f"wrong: {len(wrong)}", *wrong[:5], sep="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
