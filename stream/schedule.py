"""Work that one of all workers does now and then: child processes with what the stages leave of the machine.

Of all workers the one does it that has the resolver.
"""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml

from schemas.settings import Settings

log = logging.getLogger(__name__)

CHEAP = 10
"""Niceness of the child."""


class Ended(NamedTuple):
    """How a child ended: its exit code, and what it wrote."""

    code: int
    said: str
    complaint: str


class Schedule:
    """A thread that runs `kith ARGUMENTS` every so many seconds, while `mine()` says that it is this worker's task.

    `told` hears how each run ended. One that takes longer than `longest_s` is given up. There are never two at once.
    """

    def __init__(
        self,
        name: str,
        every_s: float,
        arguments: Sequence[str],
        mine: Callable[[], bool],
        told: Callable[[Ended], None],
        longest_s: float,
    ) -> None:
        self._name = name
        self._every_s = every_s
        self._arguments = list(arguments)
        self._mine = mine
        self._told = told
        self._longest_s = longest_s
        self._stopped = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and the run that is under way with it."""
        self._stopped.set()
        child = self._child
        if child is not None:
            child.kill()
        if self._thread.is_alive():
            self._thread.join(10)

    def run_once(self) -> None:
        """Run it now."""
        command = [sys.executable, "-m", "cli.main", *self._arguments]
        child = self._child = subprocess.Popen(  # noqa: S603  ourselves
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            psutil.Process(child.pid).nice(CHEAP)
        except psutil.Error as error:
            log.debug("%s runs like any other process: %s", self._name, error)
        try:
            said, complaint = child.communicate(timeout=self._longest_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            log.warning("%s: given up after %g s", self._name, self._longest_s)
            return
        finally:
            self._child = None
        if not self._stopped.is_set():
            self._told(Ended(child.returncode, said, complaint.strip()))

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            if self._mine():
                try:
                    self.run_once()
                except (OSError, ValueError, KeyError) as error:
                    log.warning("%s could not be done: %s", self._name, error)


def settings_file(folder: Path, name: str, settings: Settings) -> Path:
    """Write the settings of this worker for its children, and return the file."""
    path = folder / name
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
    return path
