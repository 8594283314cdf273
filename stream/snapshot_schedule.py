"""Snapshots now and then, beside a pipeline at work: the last K of them, and the metrics `kith_snapshot_*`."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from schemas.settings import Settings
from stream.connection import milliseconds
from stream.metrics import Metrics
from stream.schedule import Ended, Schedule, settings_file

log = logging.getLogger(__name__)

LONGEST_S = 6 * 3_600.0


def series_folder(settings: Settings) -> Path:
    """Return the folder with the snapshots that workers make."""
    return Path(settings.snapshots.folder or Path(settings.worker.data) / "snapshots")


def snapshot_schedule(
    settings: Settings, url: str, folder: Path, metrics: Metrics, mine: Callable[[], bool]
) -> Schedule | None:
    """Return the schedule of the snapshots, None if there is none; `folder` is the worker's own."""
    wanted = settings.snapshots
    if wanted.every is None:
        return None
    config = settings_file(folder, "snapshots.yaml", settings)
    arguments = [
        *("snapshot", "--json", "--quiet", "--series", str(series_folder(settings)), "--keep", str(wanted.keep)),
        *("--config", str(config), "--lake", url, "--memory", wanted.memory, "--processes", str(wanted.processes)),
        *("--wait", "0"),
    ]

    def told(ended: Ended) -> None:
        if ended.code or not ended.said:
            metrics.snapshot_failed()
            log.warning("no snapshot was made: %s", ended.complaint[-500:])
            return
        summary = json.loads(ended.said)
        metrics.snapshot_made(summary["people"], time.time(), summary["took_s"])
        log.info("a snapshot of %d people is in %s", summary["people"], summary["folder"])

    every_s = milliseconds(wanted.every) / 1000
    return Schedule("snapshots", every_s, arguments, mine, told, LONGEST_S)
