"""Worker processes of this machine, watched: one that ends is started again."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import click

from schemas.errors import ConfigError, StateError, TransientError
from schemas.settings import Settings
from stream.stages import STAGES

STOP_S = 60.0
"""A worker that is asked to stop commits what is under way first; one that has not ended after so long is killed."""

HEALTHY_S = 60.0
"""A worker that lived so long is started again at once, one that did not after a wait that doubles."""

LONGEST_WAIT_S = 30.0
MOST_FAILURES = 3
"""Starts in a row, before it was ever ready, after which a worker is given up."""

WRONG_SETTING = 2
"""Exit code of a worker that would end at the next start too."""

ANSWER_S = 2.0
LOG_BYTES = 32 << 20
"""A longer log is begun anew at the next start, the old one kept beside it."""

LAKE = "lake"
"""The stage that has a process of its own: its bursts of work would hold up the others in one process with them."""

PEOPLE = ",".join(stage for stage in STAGES if stage != LAKE)


class Place:
    """One worker to be: its process, or when to start the next one."""

    def __init__(self, stages: str) -> None:
        self.stages = stages
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.log_mark = 0
        self.failures = 0
        self.start_at = 0.0


class Workers:
    """So many workers, and one for the lake, with one log. Entering starts them, leaving stops them.

    `settings` are those of `config` and the environment but for the brokers, which `settings` has. `tell` is told what
    happens to them, `hurry` asked whether to kill them instead of waiting for their end.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path | None,
        count: int,
        clock: str,
        tell: Callable[[str], None] = lambda text: click.echo(text, err=True),
        hurry: Callable[[], bool] = lambda: False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.tell = tell
        self.count = count
        self.restarts = 0
        self.data = Path(settings.worker.data).absolute()
        self.log = self.data / "workers.log"
        self._hurry = hurry
        self._environ = {**environ, "KITH_KAFKA__BROKERS": settings.kafka.brokers}
        self._command = [sys.executable, "-P", "-m", "cli.main", "worker", "--clock", clock, "--until-eof"]
        if config is not None:
            self._command += ["--config", str(config.absolute())]
        self._places = [*(Place(PEOPLE) for _ in range(count)), Place(LAKE)]
        self._output: IO[bytes] | None = None
        self._began_at = time.time()

    def __enter__(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._output = self.log.open("ab")
        try:
            for place in self._places:
                self._spawn(place)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def running(self, stages: str) -> int:
        """Return how many of those with these stages run now."""
        return sum(process.poll() is None for process in self._processes(stages))

    def watch(self) -> None:
        """Start again what has ended. Raises ConfigError if that would not help, with what the worker said."""
        now = time.monotonic()
        for place in self._places:
            if place.process is not None and place.process.poll() is not None:
                self._ended(place, place.process.returncode, now)
            if place.process is None and now >= place.start_at:
                self.restarts += 1
                self._spawn(place)

    def await_ready(self, timeout_s: float) -> bool:
        """Wait until every worker says that it is ready; False if some do not within the time.

        Raises ConfigError, and StateError if one ends again and again.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            addresses = self.addresses()
            if len(addresses) >= len(self._places) and all(map(is_ready, addresses.values())):
                for place in self._places:
                    place.failures = 0
                return True
            self.watch()
            for place in self._places:
                if place.failures >= MOST_FAILURES:
                    raise StateError(f"a worker ends at each start; it said\n{self._said(place)}")
            time.sleep(0.1)
        return False

    def addresses(self) -> dict[str, str]:
        """Return `HOST:PORT` of the HTTP side of those that have told it, by the name of their folder."""
        found = {}
        for path in self.data.glob("*/address"):
            with suppress(OSError):
                if path.stat().st_mtime >= self._began_at - 0.1:  # a file's time is that of the last tick
                    found[path.parent.name] = path.read_text(encoding="ascii").strip()
        return dict(sorted(found.items()))

    def _processes(self, stages: str) -> list[subprocess.Popen[bytes]]:
        return [place.process for place in self._places if place.stages == stages and place.process is not None]

    def _spawn(self, place: Place) -> None:
        place.log_mark = self.log.stat().st_size
        place.started_at = time.monotonic()
        # A session of its own: Ctrl-C in the terminal is for us, and we stop the workers. The pipe tells of our end.
        place.process = subprocess.Popen(  # noqa: S603
            [*self._command, "--stages", place.stages],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def _ended(self, place: Place, code: int, now: float) -> None:
        self._forget(place)
        if code == WRONG_SETTING:
            raise ConfigError(self._said(place))
        place.failures = 0 if now - place.started_at > HEALTHY_S else place.failures + 1
        wait_s = min(LONGEST_WAIT_S, 2.0 ** (place.failures - 1)) if place.failures > 1 else 0.0
        place.start_at = now + wait_s
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        again = f" in {wait_s:.0f} s" if wait_s else ""
        self.tell(f"a worker {how}; it is started again{again}; its log is {self.log}")

    def _forget(self, place: Place) -> None:
        if place.process is not None and place.process.stdin is not None:
            place.process.stdin.close()
        place.process = None

    def _said(self, place: Place) -> str:
        """Return the end of what a worker wrote before it ended."""
        with self.log.open("rb") as log:
            log.seek(place.log_mark)
            lines = log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(line for line in lines[-20:] if " INFO " not in line) or f"nothing; see {self.log}"

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_S
        for stages in (PEOPLE, LAKE):  # the lake last, so that it has what the others say at their end
            processes = self._processes(stages)
            for process in processes:
                process.terminate()
            while any(process.poll() is None for process in processes):
                if self._hurry() or time.monotonic() > deadline:
                    for process in processes:
                        process.kill()
                time.sleep(0.02)
        for place in self._places:
            self._forget(place)
        if self._output is not None:
            self._output.close()


def get(address: str, path: str) -> tuple[int, str]:
    """Return status and text of an answer of a worker. Raises TransientError if there is none."""
    connection = http.client.HTTPConnection(address, timeout=ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"no worker answers at {address}: {error}") from None
    finally:
        connection.close()


def is_ready(address: str) -> bool:
    """Say whether a worker does its work."""
    try:
        return get(address, "/ready")[0] == 200
    except TransientError:
        return False
