"""`python -m bench.memory [--people N] [--steps N] [--hold N]`: a worker's memory while ever more people come.

One worker with all stages but the lake works off events of new people, some share of them after the other, and holds so
many people and ten times as many identifiers decoded. After each share its memory is printed, beside the people that
there are and the size of its stores.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from bench.events import lines
from bench.load import in_order, publish
from bench.measure import Watched, disk_bytes
from bench.pipeline import LivePipeline
from cli.workers import PEOPLE
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings

EACH = 4


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=300_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--hold", type=int, default=5_000, help="people held decoded")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="kith-memory-") as folder,
        LocalKafka(Path(folder) / "kafka", guarded=True) as kafka,
    ):
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": kafka.bootstrap, "partitions": 4, "replication": 1},
                "worker": {
                    "data": f"{folder}/data",
                    "people_in_memory": given.hold,
                    "identifiers_in_memory": given.hold * 10,
                    "api": {"port": 0},
                },
            }
        )
        with LivePipeline(settings, Path(folder) / "live") as live:
            worker = live.start_worker(PEOPLE)
            watched = Watched(live, worker, [])
            rest = lines(given.people, EACH)
            share = given.people // given.steps
            for step in range(1, given.steps + 1):
                began = time.perf_counter()
                publish(live.connection, in_order(islice(rest, share * EACH)))
                live.wait()
                seconds = time.perf_counter() - began
                print(
                    f"{step * share:>10,} people: {watched.rss_bytes / 2**20:6,.0f} MiB of memory, "
                    f"{disk_bytes(Path(settings.worker.data)) / 2**20:6,.0f} MiB on disk, "
                    f"{share * EACH / seconds:7,.0f} events/s, publishing included",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
