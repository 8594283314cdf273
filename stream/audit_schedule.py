"""The audit of some people now and then, beside a pipeline at work: a child process with what is left of the machine.

Of all workers the one does it that has the resolver. What it finds are the metrics `kith_audit_*`; each difference is
in the log.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from lake.audit.found import KINDS
from schemas.settings import Settings
from stream.connection import milliseconds
from stream.metrics import Metrics

log = logging.getLogger(__name__)

LONGEST_S = 1_800.0
"""Seconds after which an audit is given up."""

SHOWN = 20
"""Differences of one audit that are written to the log."""

CHEAP = 10
"""Niceness of the child: it takes what the stages leave."""


class AuditSchedule:
    """A thread that starts an audit every `audit.every`, while `mine()` says that it is this worker's task."""

    def __init__(
        self, settings: Settings, url: str, clock: str, folder: Path, metrics: Metrics, mine: Callable[[], bool]
    ) -> None:
        every = settings.audit.every
        self._every_s = None if every is None else milliseconds(every) / 1000
        self._settings = settings
        self._url = url
        self._clock = clock
        self._folder = folder
        self._metrics = metrics
        self._mine = mine
        self._stopped = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Begin, if the settings ask for it."""
        if self._every_s is not None:
            self._thread.start()

    def stop(self) -> None:
        """End, and the audit that is under way with it."""
        self._stopped.set()
        if self._child is not None:
            self._child.kill()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            if self._mine():
                try:
                    self.audit()
                except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                    log.warning("the audit could not be done: %s", error)

    def audit(self) -> None:
        """Do one audit, and set the metrics."""
        config = self._folder / "audit.yaml"
        config.write_text(yaml.safe_dump(self._settings.model_dump(mode="json", exclude_defaults=True)))
        child = self._child = subprocess.Popen(  # noqa: S603  ourselves
            [
                *(sys.executable, "-m", "cli.main", "verify", "--json", "--quiet"),
                *("--sample", str(self._settings.audit.sample), "--memory", self._settings.audit.memory),
                *("--config", str(config), "--lake", self._url, "--clock", self._clock),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            psutil.Process(child.pid).nice(CHEAP)
        except psutil.Error as error:
            log.debug("the audit runs like any other process: %s", error)
        try:
            said, complaint = child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        finally:
            self._child = None
        if self._stopped.is_set():
            return
        if child.returncode not in (0, 1) or not said:
            log.warning("the audit could not be done: %s", complaint.strip()[-500:])
            return
        self._tell(json.loads(said))

    def _tell(self, verdict: dict[str, object]) -> None:
        compared, differences, found = verdict["compared"], verdict["differences"], verdict["found"]
        if not (isinstance(compared, dict) and isinstance(differences, dict) and isinstance(found, list)):
            raise ValueError("kith verify --json wrote something else")
        counts = {kind: int(differences.get(kind, 0)) for kind in KINDS}
        self._metrics.audited(int(compared.get("people", 0)), counts, time.time())
        for each in found[:SHOWN]:
            log.error(
                "audit: %s of %s, %s: live %s, expected %s, events %s",
                *(each["kind"], each["one_id"], each["field"], each["live"], each["expected"]),
                ", ".join(each["events"]),
            )
