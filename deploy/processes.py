"""Telling whether a process that was started once still runs."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Children of this process that may outlive whoever started them."""


def adopt(child: subprocess.Popen[bytes]) -> None:
    """Take care of a child that is to run on when its starter is gone."""
    _CHILDREN.append(child)


def reap() -> None:
    """Let the system forget the children that have ended."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


def born(pid: int) -> float | None:
    """Return when a process began in epoch seconds, None if it is gone.

    A zombie that still has threads counts: it holds its ports.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


def runs(pid: int, began: float | None, argument: str) -> bool:
    """Say whether a process is still the one that began then with that argument, and not a later one of its number."""
    now = born(pid)
    if now is None:
        return False
    if began is not None and abs(now - began) < 1:
        return True
    # The system's clock may have been set since, and with it what it says of processes.
    with suppress(psutil.Error):
        return argument in psutil.Process(pid).cmdline()
    return False


def guard(home: Path) -> subprocess.Popen[bytes]:
    """Start a process that kills the Kafka of a folder when this one has ended: then the pipe between them closes."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "deploy.guard", str(home)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd=root)
