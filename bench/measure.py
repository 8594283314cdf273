"""A worker watched from outside: what it has worked off, and the CPU seconds that it and the broker have used."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import psutil

from bench.pipeline import LivePipeline
from stream.connection import Connection
from stream.lag import Lag

LOOK_S = 0.1
"""Seconds between two looks: what a stretch is measured to."""

QUIET_S = 1.5
"""Seconds without any change after which it is asked whether anything is left."""

_COUNT = re.compile(r'^(kith_events_total|kith_commit_seconds_count)\{stage="(\w+)"\} (\S+)$', re.MULTILINE)


class Look(NamedTuple):
    """CPU in seconds; `worked` and `commits` by stage."""

    at: float
    cpu_s: float
    broker_s: float
    worked: dict[str, int]
    commits: dict[str, int]


class Stretch(NamedTuple):
    """From the first message to the last; `worked` has the messages by stage.

    `after_s` and `after_cpu_s` are what was done then: publishing the profiles that were put off under load.
    """

    seconds: float
    cpu_s: float
    broker_s: float
    after_s: float
    after_cpu_s: float
    after_broker_s: float
    worked: dict[str, int]
    rss_bytes: int


class Watched:
    """One worker of a pipeline, just started; `brokers` are the processes of Kafka."""

    def __init__(self, live: LivePipeline, worker: "Popen[bytes]", brokers: Collection[int]) -> None:
        self._live = live
        self._worker = worker
        self._process = psutil.Process(worker.pid)
        self._brokers = [psutil.Process(pid) for pid in brokers]
        self._address_file = Path(live.settings.worker.data).absolute() / "worker-0" / "address"
        self._started = time.time()

    @property
    def rss_bytes(self) -> int:
        """Memory of the worker."""
        return int(self._process.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the worker."""
        return _cpu_s(self._process)

    def get(self, path: str) -> tuple[int, bytes] | None:
        """Ask the worker's HTTP side; None while it does not answer. Raises RuntimeError if the worker has ended."""
        if self._worker.poll() is not None:
            raise RuntimeError(f"the worker ended with {self._worker.returncode}\n{self._live.tail()}")
        try:
            if self._address_file.stat().st_mtime < self._started - 1:
                return None  # of its predecessor
            url = f"http://{self._address_file.read_text().strip()}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return None

    def look(self) -> Look | None:
        """Return where it stands, None if it does not answer yet."""
        broker_s = sum(map(_cpu_s, self._brokers))
        answer = self.get("/metrics")
        if answer is None:
            return None
        counts: dict[str, dict[str, int]] = {"kith_events_total": {}, "kith_commit_seconds_count": {}}
        for name, stage, value in _COUNT.findall(answer[1].decode()):
            counts[name][stage] = int(float(value))
        worked, commits = counts.values()
        return Look(time.perf_counter(), self.cpu_s, broker_s, worked, commits)

    def work_off(self, connection: Connection, stages: Sequence[str], timeout_s: float = 1800) -> Stretch:
        """Wait until these stages have worked off what there is. Raises RuntimeError if that takes too long."""
        first = last = settled = None
        deadline = time.monotonic() + timeout_s
        lag = Lag(connection)
        with closing(lag):
            while time.monotonic() < deadline:
                time.sleep(LOOK_S)
                look = self.look()
                if look is None:
                    continue
                if not any(look.worked.values()) or first is None:
                    first = last = settled = look
                    continue
                assert last is not None and settled is not None  # noqa: S101,PT018  set with the first
                if look.worked != last.worked:
                    last = settled = look
                elif look.commits != settled.commits:
                    settled = look
                elif look.at - settled.at > QUIET_S:
                    left = lag.left(lag.look())
                    if not any(stage in stages for stage, _ in left):
                        return _stretch(first, last, settled, self.rss_bytes)
        raise RuntimeError(f"not worked off after {timeout_s:.0f} s\n{self._live.tail()}")


def _stretch(first: Look, last: Look, settled: Look, rss_bytes: int) -> Stretch:
    return Stretch(
        last.at - first.at,
        last.cpu_s - first.cpu_s,
        last.broker_s - first.broker_s,
        settled.at - last.at,
        settled.cpu_s - last.cpu_s,
        settled.broker_s - last.broker_s,
        {stage: count - first.worked.get(stage, 0) for stage, count in last.worked.items()},
        rss_bytes,
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def disk_bytes(*folders: Path) -> int:
    """Return how much the files in these folders take."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):  # RocksDB tidies up meanwhile
                total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total
