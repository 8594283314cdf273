"""`python -m bench.replay [PEOPLE[xEVENTS] ...]`: events a second of the whole replay, and memory, on one core.

Each of so many people has ten events, or as many as stand behind the x (at most ten): `1000000x4`. By default 100,000
people with ten and a million with four.

Each size runs in a process of its own, pinned to one core where the system can. Printed per size: events, CPU seconds
(all threads) and wall seconds of the replay, events per CPU second, peak memory, bytes per person.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.events import EVENTS_PER_PERSON, write
from schemas.settings import Settings
from stream.replay import replay


def main(arguments: list[str]) -> None:
    """Run every size given, or measure one file when called with `--one`."""
    if arguments[:1] == ["--one"]:
        _measure(Path(arguments[1]), int(arguments[2]))
        return
    for size in arguments or ["100000", "1000000x4"]:
        people, _, each = size.partition("x")
        with tempfile.TemporaryDirectory(prefix="kith-bench-") as folder:
            path = Path(folder) / "events.jsonl"
            write(path, int(people), int(each or EVENTS_PER_PERSON))
            subprocess.run([sys.executable, "-m", "bench.replay", "--one", str(path), people], check=True)  # noqa: S603  ourselves


def _measure(path: Path, people: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    phases: dict[str, float] = {}

    def report(phase: str, done: int, total: int) -> None:
        phases[phase] = time.process_time() - cpu

    summary = replay([str(path)], path.parent / "out", Settings(), progress=report)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = ", ".join(f"{phase} {end:.1f} s" for phase, end in phases.items())
    print(
        f"{people:,} people, {summary['events']:,} events: CPU {cpu:.1f} s, wall {wall:.1f} s, "
        f"{summary['events'] / cpu:,.0f} events per CPU second, peak {peak_kb / 1024:,.0f} MB, "
        f"{(peak_kb - before_kb) * 1024 / people:,.0f} bytes per person (CPU at the end of each phase: {ends})",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
