"""A live pipeline of real processes on a real Kafka, driven from outside; for the benches, the crash runs, the tests.

with LivePipeline(settings, folder, clock="events") as live:
    live.start_worker(); live.start_worker()
    live.publish(lines); live.wait()
    live.advance(until_ms); live.export(folder / "out")
differences(folder / "replayed", folder / "out")
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from cli.replay import parse_until
from cli.workers import LAKE, PEOPLE
from schemas.errors import KithError
from schemas.settings import Settings
from stream.clock_command import advance
from stream.connection import Connection
from stream.lag import wait
from stream.publish import publish

Row = dict[str, Any]

KEYS = {"identities": ("kind", "value"), "profiles": ("one_id",), "triggers": ("trigger_id", "outcome")}
"""Tables that the live pipeline and the replay must agree on, and what a row is known by."""


class LivePipeline:
    """Worker processes by one file of settings. Leaving it kills what is still there."""

    def __init__(self, settings: Settings, folder: Path, clock: str = "events") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.connection = Connection(settings.kafka)
        self.folder = folder
        self.clock = clock
        self.workers: list[subprocess.Popen[bytes]] = []
        self.config = folder / "kith.yaml"
        self.config.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
        self.log = folder / "workers.log"

    def __enter__(self) -> "LivePipeline":
        self.kith("topics", "create")
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()

    def kith(
        self, *arguments: str, check: bool = True, good: Collection[int] = (0,), timeout: float = 600, **options: Any
    ) -> str:
        """Run a command of Kith and return what it printed.

        Raises RuntimeError with its words if it ends with another code than those that are good, or with one that
        says that something was found but prints nothing.
        """
        done = subprocess.run(  # noqa: S603  ourselves
            [sys.executable, "-m", "cli.main", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )
        if check and done.returncode and (done.returncode not in good or not done.stdout):
            raise RuntimeError(
                f"kith {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.tail()}"
            )
        return done.stdout

    def start_worker(
        self,
        stages: str | None = None,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "cli.main"),
    ) -> subprocess.Popen[bytes]:
        """Start a worker and return its process; it is not yet ready. `program`: what Python is to run for `kith`."""
        command = [sys.executable, *program, "worker", "--clock", self.clock, "--config", str(self.config)]
        if stages is not None:
            command += ["--stages", stages]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environ or {})})  # noqa: S603
        self.workers.append(worker)
        return worker

    def start_all(self) -> None:
        """Start the processes that `kith up` starts: one worker for the people, one for the lake."""
        for stages in (PEOPLE, LAKE):
            self.start_worker(stages)

    def stop_worker(self, worker: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Signal a worker and wait for its end; return its exit code."""
        worker.send_signal(number)
        code = worker.wait(90)
        self.workers.remove(worker)
        return code

    def publish(self, lines: Iterable[bytes]) -> None:
        """Publish event lines in this order. Raises TransientError if Kafka does not take them."""
        path = self.folder / f"publish-{time.monotonic_ns()}.jsonl"
        path.write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in lines))
        publish(self.connection, self.settings, [str(path)])

    def wait(self, timeout_s: float = 300) -> None:
        """Return when all is worked off. Raises RuntimeError with what the workers said last if that takes longer."""
        try:
            wait(self.connection, timeout_s)
        except KithError as error:
            raise RuntimeError(f"{error}\n{self.tail()}") from error

    def advance(self, to_ms: int | str) -> None:
        """Move everybody's clock on."""
        advance(self.connection, parse_until(str(to_ms), "to_ms"))
        self.wait()

    def export(self, out: Path) -> Path:
        """Write the live state as the tables of a replay."""
        self.kith("export", "--out", str(out))
        return out

    def verify(self, wait_s: float = 120) -> list[str]:
        """Return what `kith verify` finds once the lake has caught up, one text each; print what it compared."""
        text = self.kith(
            "verify", "--latest", "--wait", f"{wait_s:.0f}", "--json", "--quiet", good=(0, 1), timeout=1800
        )
        verdict = json.loads(text)
        print("verify:", *(f"{count:,} {what}," for what, count in verdict["compared"].items()), flush=True)
        print("verify: no difference:", verdict["no_difference"], flush=True)
        return [
            f"verify: {found['kind']} {found['one_id']} {found['field']}: live {found['live']}, "
            f"expected {found['expected']}, events {found['events']}"
            for found in verdict["found"]
        ]

    def tail(self, lines: int = 60) -> str:
        """Return the end of the workers' log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def differences(expected: Path, found: Path, tables: Sequence[str] = tuple(KEYS), most: int = 20) -> list[str]:
    """Return one text per difference between two folders of tables, at most so many, none if they agree row for row."""
    texts = []
    for table in tables:
        ours, theirs = rows(expected, table), rows(found, table)
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            mine, other = ours.get(key), theirs.get(key)
            if mine is None or other is None:
                texts.append(f"{table} {key}: only {'live' if mine is None else 'replayed'}: {other or mine}")
            elif mine != other:
                columns = [name for name in mine if mine[name] != other.get(name)]
                texts.append(
                    f"{table} {key}: " + "; ".join(f"{c}: {mine[c]!r} replayed, {other.get(c)!r} live" for c in columns)
                )
            if len(texts) >= most:
                return texts
    return texts


def rows(folder: Path, table: str) -> dict[tuple[Any, ...], Row]:
    """Return the rows of a table by key. Raises AssertionError if two have the same key."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in pq.read_table(folder / f"{table}.parquet").to_pylist():
        key = tuple(row[name] for name in KEYS[table])
        if key in found:
            raise AssertionError(f"{table} {key} stands twice in {folder}")
        found[key] = row
    return found
