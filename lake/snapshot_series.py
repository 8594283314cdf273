"""A series of snapshots in one folder: one folder each, named by the time; `latest` leads to the newest.

Never two are made at once, and the oldest go when there are more than are to be kept.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lake.writer import FINISHED
from schemas.errors import TransientError

LATEST = "latest"
LOCK = ".lock"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@contextmanager
def next_of_series(folder: Path, keep: int | None = None, now: datetime | None = None) -> Iterator[Path]:
    """Yield the place of the next snapshot; when it is written, let `latest` lead to it and remove the oldest.

    `keep` is how many stay, None for all. Raises TransientError if another one is being made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, however the process ends
        except BlockingIOError:
            raise TransientError(f"{folder}: another snapshot of this series is being made") from None
        place = _free(folder, f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        yield place
        _lead(folder / LATEST, place.name)
        if keep is not None:
            for old in series(folder)[:-keep]:
                shutil.rmtree(old)


def series(folder: Path) -> list[Path]:
    """Return the finished snapshots of a series, the oldest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / FINISHED).is_file()]
    return sorted(found, key=lambda path: (path.name[:16], int(path.name[17:] or 0)))


def _free(folder: Path, name: str) -> Path:
    number = 0
    while (place := folder / (f"{name}-{number}" if number else name)).exists():
        number += 1
    return place


def _lead(link: Path, target: str) -> None:
    """Let a link lead elsewhere, in one step."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target, target_is_directory=True)
    os.replace(fresh, link)
