"""The audit of some people now and then, beside a pipeline at work.

What it finds are the metrics `kith_audit_*`; each difference is in the log.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from lake.audit.found import KINDS
from schemas.settings import Settings
from stream.connection import milliseconds
from stream.metrics import Metrics
from stream.schedule import Ended, Schedule, settings_file

log = logging.getLogger(__name__)

LONGEST_S = 1_800.0

SHOWN = 20
"""Differences of one audit that are written to the log."""


def audit_schedule(
    settings: Settings, url: str, clock: str, folder: Path, metrics: Metrics, mine: Callable[[], bool]
) -> Schedule | None:
    """Return the schedule of the audit, None if there is none; `folder` is the worker's own."""
    if settings.audit.every is None:
        return None
    config = settings_file(folder, "audit.yaml", settings)
    arguments = [
        *("verify", "--json", "--quiet", "--sample", str(settings.audit.sample), "--memory", settings.audit.memory),
        *("--config", str(config), "--lake", url, "--clock", clock),
    ]

    def told(ended: Ended) -> None:
        if ended.code not in (0, 1) or not ended.said:
            log.warning("the audit could not be done: %s", ended.complaint[-500:])
        else:
            _tell(json.loads(ended.said), metrics)

    every_s = milliseconds(settings.audit.every) / 1000
    return Schedule("audit", every_s, arguments, mine, told, LONGEST_S)


def _tell(verdict: dict[str, object], metrics: Metrics) -> None:
    compared, differences, found = verdict["compared"], verdict["differences"], verdict["found"]
    if not (isinstance(compared, dict) and isinstance(differences, dict) and isinstance(found, list)):
        raise ValueError("kith verify --json wrote something else")
    counts = {kind: int(differences.get(kind, 0)) for kind in KINDS}
    metrics.audited(int(compared.get("people", 0)), counts, time.time())
    for each in found[:SHOWN]:
        log.error(
            "audit: %s of %s, %s: live %s, expected %s, events %s",
            *(each["kind"], each["one_id"], each["field"], each["live"], each["expected"]),
            ", ".join(each["events"]),
        )
