"""`python -m bench.snapshot [--people N] [--events N]`: a snapshot of so many people, and the ready answers from it.

The lake is made up first (`bench.seeded_lake`). Prints the time of `kith snapshot`, the most memory that it and its
processes had together, the sizes of lake and snapshot, and of each answer of `kith report` its time and rows. With
`--keep DIR` lake and snapshot stay, and a lake that is there is used again.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import psutil

from bench.measure import disk_bytes
from bench.seeded_lake import write_lake
from lake.answers import ANSWERS
from schemas.settings import Settings

LOOK_S = 0.2


def main(arguments: Sequence[str]) -> int:
    """Run with what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.snapshot", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10, help="events of each person, at most 10")
    parser.add_argument("--memory", default="2GB", help="what the database may use")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for lake and snapshot, which stay there")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kith-bench-")))
        lake = folder / "lake"
        if not (lake / "catalogue").exists():
            began = time.perf_counter()
            events = write_lake(str(lake), Settings(), given.people, given.events)
            print(f"lake of {given.people:,} people, {events:,} events made up in {time.perf_counter() - began:.0f} s")
        print(f"lake: {disk_bytes(lake) / 1e9:.2f} GB on disk", flush=True)
        _snapshot(lake, folder / "out", given.memory, given.processes)
        _answers(folder / "out")
    return 0


def _snapshot(lake: Path, out: Path, memory: str, processes: int) -> None:
    command = ["snapshot", "--lake", str(lake), "--out", str(out), "--wait", "0", "--json", "--quiet"]
    seconds, peak, said = _measured([*command, "--memory", memory, "--processes", str(processes)])
    summary = json.loads(said)
    print(
        f"snapshot: {summary['people']:,} people, {summary['events']:,} events, {summary['triggers']:,} triggers in "
        f"{seconds:.0f} s ({summary['people'] / seconds:,.0f} people/s), at most {peak / 1e9:.2f} GB of memory; "
        f"kith.duckdb {disk_bytes_of(out / 'kith.duckdb') / 1e9:.2f} GB, "
        f"Parquet {sum(map(disk_bytes_of, out.glob('*.parquet'))) / 1e9:.2f} GB; "
        f"identifiers whose events differ: {summary['parts_with_other_events']}",
        flush=True,
    )


def _answers(out: Path) -> None:
    earlier = _earlier(out)
    for answer in ANSWERS:
        before = ["--before", str(earlier)] if answer.compared else []
        seconds, peak, said = _measured(["report", answer.name, "--from", str(out), "--lang", "en", *before])
        print(
            f"report {answer.name:<18} {seconds:6.1f} s  {peak / 1e9:5.2f} GB  {len(said.splitlines()):4} lines",
            flush=True,
        )


def _earlier(out: Path) -> Path:
    """Return a file with the same people a month before, for the answers that compare."""
    path = out.parent / "earlier.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as made:
        made.execute(f"ATTACH '{out / 'kith.duckdb'}' AS newer (READ_ONLY)")
        made.execute("CREATE TABLE people AS FROM newer.people")
        made.execute("CREATE TABLE snapshot AS SELECT * REPLACE (as_of - INTERVAL 30 DAY AS as_of) FROM newer.snapshot")
    return path


def _measured(arguments: Sequence[str]) -> tuple[float, int, str]:
    """Run a command of Kith; return its seconds, the most memory of its processes together, and what it printed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([sys.executable, "-m", "cli.main", *arguments], stdout=said)  # noqa: S603  ourselves
        peak = 0
        while child.poll() is None:
            peak = max(peak, _memory(child.pid))
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - began
        said.seek(0)
        if child.returncode:
            raise RuntimeError(f"kith {' '.join(arguments)} ended with {child.returncode}")
        return seconds, peak, said.read()


def _memory(pid: int) -> int:
    """Return the memory of a process and its children; what they share counts once."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0  # it ends just now


def disk_bytes_of(path: Path) -> int:
    """Return the size of a file."""
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
