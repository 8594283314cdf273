"""`python -m bench.speed [--people N] [--events N] [--seconds S]`: speed, CPU and latency of the live path.

Ratios come first: to the raw ceiling (`bench.raw`) measured in the same run, and to what Confluent published for a
mere keyed count exactly once with Kafka Streams, 105,000 events a second at 13 us of CPU each. Then:

- the whole path: one worker with all stages works off a backlog, by the events' clock;
- each stage alone on the same kind of events, so that its CPU is exact: events by new people (all go to the resolver)
  and by known ones;
- from publishing to profile and trigger at half that speed, by the clock of the day, with the processes of `kith up`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.latency import histogram, introduce, measure, percentiles
from bench.load import mixed, new_and_known, publish
from bench.measure import Stretch, Watched
from bench.pipeline import LivePipeline
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from stream.reading import read_topics

STREAMS_PER_S = 105_000
STREAMS_US = 13.0
PARTITIONS = 4
ALL = ("identify", "resolve", "profile")


class Bench:
    """One run on one Kafka."""

    def __init__(self, kafka: LocalKafka, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self.kafka = kafka
        self.folder = folder
        self._options = dict(options or {})
        self.raw: list[dict[str, float]] = []
        self.profiles: list[int] = []
        self._ceilings = 0

    def pipeline(self, name: str, clock: str = "events") -> LivePipeline:
        """Return a pipeline with topics and stores of its own."""
        settings = Settings.model_validate(
            {
                "kafka": {
                    "brokers": self.kafka.bootstrap,
                    "prefix": f"{name}.",
                    "partitions": PARTITIONS,
                    "replication": 1,
                    "options": self._options,
                },
                "worker": {"data": str(self.folder / name / "data"), "api": {"port": 0}},
                "triggers": {"quiet_hours": "off"},
            }
        )
        return LivePipeline(settings, self.folder / name, clock)

    def ceiling(self, prefix: str) -> None:
        """Run the raw program once more on the events of a pipeline."""
        self._ceilings += 1
        command = [sys.executable, "-m", "bench.raw", self.kafka.bootstrap, prefix, f"raw-{self._ceilings}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)  # noqa: S603
        self.raw.append(json.loads(done.stdout))

    def whole(self, events: list[bytes], runs: int) -> list[Stretch]:
        """Work a backlog off with one worker, each time anew."""
        found = []
        for number in range(runs):
            with self.pipeline(f"whole{number}") as live:
                connection = live.connection
                publish(connection, events)
                self.ceiling(live.settings.kafka.prefix)
                found.append(self.run(live, ALL, None))
                self.profiles.append(sum(map(len, read_topics(connection, ["profiles"]))))
                self.ceiling(live.settings.kafka.prefix)
        return found

    def alone(self, people: int) -> dict[str, dict[str, Stretch]]:
        """Run the stages one after the other: first on events by new people, then on further ones by the same."""
        new, known = new_and_known(people)
        found: dict[str, dict[str, Stretch]] = {}
        with self.pipeline("alone") as live:
            connection = live.connection
            for name, events in (("new", new), ("known", known)):
                publish(connection, events)
                stages = ALL if name == "new" else ("identify", "profile")
                found[name] = {stage: self.run(live, (stage,), stage) for stage in stages}
        return found

    def run(self, live: LivePipeline, stages: Sequence[str], option: str | None) -> Stretch:
        """Run a worker until it has worked off everything, and stop it."""
        worker = live.start_worker(option)
        watched = Watched(live, worker, self.kafka.pids.values())
        stretch = watched.work_off(live.connection, stages)
        live.stop_worker(worker)
        return stretch

    def latency(self, people: int, rate: float, seconds: float) -> list[str]:
        """Publish at a steady rate and return what to print."""
        with self.pipeline("latency", "live") as live:
            connection = live.connection
            live.start_all()
            introduce(connection, people)
            live.wait(600)
            found = measure(live.settings.kafka, people, rate, seconds)
        return [
            f"from publishing to the message, at {found.rate:,.0f} events/s for {seconds:g} s, {people:,} people:",
            f"profile: {percentiles(found.profiles)}; {found.missing:,} without an answer",
            *histogram(found.profiles),
            f"trigger: {percentiles(found.triggers)}; {found.missing_triggers:,} without an answer",
            *histogram(found.triggers),
        ]


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=30_000)
    parser.add_argument("--events", type=int, default=300_000, help="at most ten for each of the people")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the steady rate; 0: no latencies")
    parser.add_argument("--runs", type=int, default=1, help="of the whole path; the median counts")
    parser.add_argument("--rate", type=float, default=None, help="events a second; else half the top speed")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of librdkafka, to try it")
    given = parser.parse_args(arguments)
    print(f"load average before: {_load()}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kith-live-") as folder,
        LocalKafka(Path(folder) / "kafka", guarded=True) as kafka,
    ):
        bench = Bench(kafka, Path(folder), dict(option.split("=", 1) for option in given.option))
        events = mixed(given.people, -(-given.events // given.people))[: given.events]
        whole = bench.whole(events, given.runs)
        top = _print_whole(len(events), whole, bench.raw)
        print(f"profiles published an event: {statistics.median(bench.profiles) / len(events):.2f}", flush=True)
        _print_alone(bench.alone(max(1, len(events) // 10)))
        if given.seconds:
            rate = given.rate or top / 2
            for line in bench.latency(min(given.people, 30_000), rate, given.seconds):
                print(line)
    print(f"load average after: {_load()}")


def _print_whole(events: int, runs: list[Stretch], raw: list[dict[str, float]]) -> float:
    """Print speed and CPU of the whole path; return its events per second."""
    stretch = sorted(runs, key=lambda each: each.seconds)[len(runs) // 2]
    speed, cpu = events / stretch.seconds, stretch.cpu_s / events * 1e6
    total = (stretch.cpu_s + stretch.after_cpu_s) / events * 1e6
    raw_speed = statistics.median(each["events"] / each["seconds"] for each in raw)
    raw_cpu = statistics.median(each["cpu_s"] / each["events"] * 1e6 for each in raw)
    print(f"whole path to raw ceiling: {speed / raw_speed:.3f} of its speed, {cpu / raw_cpu:.1f} times its CPU")
    print(
        f"whole path to Kafka Streams' count: {speed / STREAMS_PER_S:.3f} of its speed, "
        f"{cpu / STREAMS_US:.1f} times its CPU"
    )
    print(f"raw ceiling: {raw_speed:,.0f} events/s, {raw_cpu:.2f} us of CPU an event (median of {len(raw)})")
    print(
        f"whole path, one worker: {speed:,.0f} events/s; CPU an event: worker {cpu:.1f} us, "
        f"broker {stretch.broker_s / events * 1e6:.1f} us (median of {len(runs)}, {events:,} events)"
    )
    print(
        f"profiles put off meanwhile are published in {stretch.after_s:.1f} s more: "
        f"{stretch.after_cpu_s:.1f} s of CPU, {events / (stretch.seconds + stretch.after_s):,.0f} events/s and "
        f"{total:.1f} us an event with them"
    )
    worked = ", ".join(f"{stage} {count / events:.2f}" for stage, count in stretch.worked.items())
    print(f"messages an event: {worked}; memory {stretch.rss_bytes / 2**20:,.0f} MiB", flush=True)
    return speed


def _print_alone(found: dict[str, dict[str, Stretch]]) -> None:
    print(f"{'stage alone':24} {'messages':>10} {'each/s':>9} {'CPU us':>8} {'broker us':>10} {'put-off s':>10}")
    for name, stages in found.items():
        for stage, stretch in stages.items():
            count = stretch.worked[stage]
            print(
                f"{f'{stage}, people {name}':24} {count:10,} {count / stretch.seconds:9,.0f} "
                f"{stretch.cpu_s / count * 1e6:8.1f} {stretch.broker_s / count * 1e6:10.1f} {stretch.after_cpu_s:10.1f}"
            )
    sys.stdout.flush()


def _load() -> str:
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


if __name__ == "__main__":
    main(sys.argv[1:])
