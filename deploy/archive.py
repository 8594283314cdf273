"""Java's archive of loaded classes (JEP 514): made at the end of a run of Kafka, it makes later starts 3 times faster.

An archive that does not fit, or cannot be read, is ignored by Java. So it may be wrong, but never in the way.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deploy.java import Java

OLDEST = 25
"""The first version of Java that makes an archive in one run."""
STALE_S = 3_600
"""A run that was killed leaves its unfinished archive, which is removed after this time."""


class Archive:
    """The archive of one Java and one class path, beside the jars. `part` is where this process lets it be made."""

    def __init__(self, java: Java, classes: Sequence[Path]) -> None:
        fits = "\0".join([java.program, java.version, *map(str, classes)])
        self.path = classes[0].parent / f"kafka-{hashlib.sha256(fits.encode()).hexdigest()[:12]}.aot"
        self.part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        self._possible = java.major >= OLDEST

    @property
    def use(self) -> list[str]:
        """Return Java's options for using the archive, none if there is none."""
        return [f"-XX:AOTCache={self.path}", "-Xlog:aot*=error", "-Xlog:cds*=error"] if self.path.exists() else []

    @property
    def make(self) -> list[str]:
        """Return Java's options for making the archive, none if there can be none. Such a run ends 7 seconds later."""
        if not self._possible:
            return []
        for old in self.path.parent.glob("*.aot.*.part*"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > STALE_S:
                    old.unlink()
        return [f"-XX:AOTCacheOutput={self.part}", "-Xlog:aot*=error", "-Xlog:cds*=error"]


def keep(part: Path, *, whole: bool) -> None:
    """Put an archive that a run made into its place, or remove it if the run did not end by itself."""
    with suppress(OSError):
        if whole:
            part.replace(part.parent / f"{part.name.partition('.aot.')[0]}.aot")
        else:
            part.unlink(missing_ok=True)
