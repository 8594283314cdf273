"""`python -m bench.export [PEOPLE [DAYS]]`: reading topics, and exporting the state of a shop of so many people.

The state is made by the stages in this process and written to a Kafka of its own; the first figures are only for that.
"""

import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from deploy.kafka_local import LocalKafka
from ingest.generator import generate
from schemas.settings import Settings
from stream.connection import Connection
from stream.export import export
from stream.reading import read_topics
from tests.live.in_process import InProcess


def main() -> None:
    """Print the figures."""
    given = [int(argument) for argument in sys.argv[1:3]]
    people, days = given + [20_000, 30][len(given) :]
    folder = Path(tempfile.mkdtemp(prefix="kith-bench-"))
    try:
        with LocalKafka(folder / "kafka", guarded=True) as kafka:
            measure(people, days, kafka.bootstrap, folder)
    finally:
        shutil.rmtree(folder)


def measure(people: int, days: int, brokers: str, folder: Path) -> None:
    """Fill the topics, read them, export."""
    settings = Settings.model_validate({"kafka": {"brokers": brokers, "replication": 1}})
    connection = Connection(settings.kafka)
    began = clock()
    live = InProcess(connection, settings)
    live.publish(bytes(line) for line in generate(people, days, 1))
    live.commit()
    tell("made", sum(live.sent.values()), "messages", began)

    for name in ("events.identified", "profiles.state", "identity.graph"):
        began = clock()
        count = size = 0
        for messages in read_topics(connection, [name]):
            count += len(messages)
            size += sum(len(message.value() or b"") for message in messages)
        tell(f"read {name}, {size / 1e6:,.0f} MB", count, "messages", began)

    phases: Counter[str] = Counter()
    began = clock()
    last = time.process_time()

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        now = time.process_time()
        phases[phase] += round((now - last) * 1e6)
        last = now

    summary = export(connection, settings, folder / "out", progress=report)
    report("the end", 0, 0)
    tell(f"export of {summary['events']:,} events", summary["people"], "people", began)
    for phase, micros in phases.items():
        print(f"  until {phase} was told: {micros / 1e6:,.1f} CPU s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"peak memory {peak:,.0f} MB, making included; load {os.getloadavg()[0]:.1f}; complete: {summary['complete']}"
    )


def clock() -> tuple[float, float]:
    """Return the time and the processor time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def tell(what: str, count: int, unit: str, began: tuple[float, float]) -> None:
    """Print one figure; `began` is what `clock` gave at the beginning."""
    wall, cpu = (now - then for now, then in zip(clock(), began, strict=True))
    print(
        f"{what}: {count:,} {unit} in {wall:,.1f} s, {count / wall:,.0f} a second; "
        f"{cpu:,.1f} CPU s, {count / cpu:,.0f} a CPU second",
        flush=True,
    )


if __name__ == "__main__":
    main()
