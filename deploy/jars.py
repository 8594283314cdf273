"""The jars of Apache Kafka: which ones, where they are kept, and how they are fetched and verified."""

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from schemas.errors import ConfigError, StateError, TransientError

LOCK = Path(__file__).parent / "kafka.lock.json"
TRIES = 3
WORKERS = 8
AGAIN = {408, 429, 500, 502, 503, 504}
"""HTTP statuses after which another try may succeed."""
FIXED_TIME = 1_577_836_800
"""Modification time of every jar: Java's archive of loaded classes is only valid for jars of the same time."""


class Jar(NamedTuple):
    """One line of the lock: path below a Maven repository, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.rsplit("/", 1)[1]


def locked() -> list[Jar]:
    """Return the jars of the lock; the class path is in this order."""
    lock = json.loads(LOCK.read_bytes())
    return [Jar(path, line["size"], line["sha256"]) for path, line in sorted(lock.items())]


def kafka_version() -> str:
    """Return the version of Kafka in the lock."""
    return next(jar.path.split("/")[-2] for jar in locked() if jar.name.startswith("kafka_"))


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what is fetched once, `$XDG_CACHE_HOME/kith` or `~/.cache/kith`."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "kith"


def repository(environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the Maven repository: the variable MAVEN_CENTRAL, else Maven Central as jgo knows it.

    Raises ConfigError if the variable holds no http, https or file address.
    """
    address = environ.get("MAVEN_CENTRAL")
    if not address:
        from jgo.constants import MAVEN_CENTRAL_URL  # takes a quarter of a second, and only a first start needs it

        address = str(MAVEN_CENTRAL_URL)
    if not address.startswith(("https://", "http://", "file://")):
        raise ConfigError(f"MAVEN_CENTRAL: {address} is no http, https or file address")
    return address.rstrip("/")


class Jars:
    """The jars in the cache folder. Nothing is fetched if all are there."""

    def __init__(self, folder: Path | None = None, address: str | None = None) -> None:
        # A folder for each lock: another version of Kith may use other jars at the same time.
        digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
        self.folder = (folder or cache_folder()) / f"kafka-{digest}"
        self._address = address
        self._jars = locked()

    @property
    def paths(self) -> list[Path]:
        """Where the jars are, once they were fetched."""
        return [self.folder / jar.name for jar in self._jars]

    def missing(self, *, verify: bool = False) -> list[Jar]:
        """Return the jars that are not there with their size; with `verify` also those whose sha256 differs."""
        return [jar for jar in self._jars if not _is_whole(self.folder / jar.name, jar, verify)]

    def fetch(self, progress: Callable[[int, int], None] | None = None, *, verify: bool = False) -> list[Path]:
        """Fetch what is missing and return all paths; `progress` is told bytes done and bytes to do.

        Raises TransientError if the repository cannot be reached, StateError if a jar is not the one of the lock.
        """
        missing = self.missing(verify=verify)
        total = sum(jar.size for jar in missing)
        if not missing:
            return self.paths
        address = self._address or repository()
        self.folder.mkdir(parents=True, exist_ok=True)
        done = 0
        with ThreadPoolExecutor(WORKERS) as pool:
            fetched = [pool.submit(self._fetch_one, address, jar) for jar in missing]
            try:
                for jar, future in zip(missing, fetched, strict=True):
                    future.result()
                    done += jar.size
                    if progress is not None:
                        progress(done, total)
            finally:
                pool.shutdown(cancel_futures=True)
        return self.paths

    def _fetch_one(self, address: str, jar: Jar) -> None:
        data = _download(f"{address}/{jar.path}")
        if hashlib.sha256(data).hexdigest() != jar.sha256:
            raise StateError(
                f"{address}/{jar.path} is not the file that {LOCK.name} names: its sha256 differs. "
                "Ask who runs the repository, or name another in MAVEN_CENTRAL"
            )
        part = self.folder / f"{jar.name}.{os.getpid()}.part"
        try:
            part.write_bytes(data)
            os.utime(part, (FIXED_TIME, FIXED_TIME))
            part.replace(self.folder / jar.name)
        finally:
            part.unlink(missing_ok=True)


def _is_whole(path: Path, jar: Jar, verify: bool) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        return not verify or hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
    except OSError:
        return False


def _download(address: str) -> bytes:
    for tried in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310  repository() let only three kinds in
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in AGAIN or tried == TRIES:
                raise TransientError(f"{address} cannot be fetched: HTTP status {error.code}") from None
        except OSError as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(cause, FileNotFoundError) or tried == TRIES:
                reason = getattr(cause, "strerror", None) or cause
                raise TransientError(
                    f"{address} cannot be fetched: {reason}. MAVEN_CENTRAL can name another Maven repository"
                ) from None
        time.sleep(tried)
    raise AssertionError("the last try returns or raises")
