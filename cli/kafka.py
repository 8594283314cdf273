"""`kith kafka`: a real Kafka on this machine, for trying, developing and testing."""

import json
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from cli.terminal import Terminal
from deploy.archive import Archive
from deploy.jars import Jars, kafka_version
from deploy.java import find_java
from deploy.kafka_local import LocalKafka
from deploy.ports import free_ports
from schemas.errors import ConfigError

DEFAULT_PORT = 9092
"""Where the settings look for Kafka by default."""

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("kith-data/kafka"),
    show_default=True,
    help="Folder of this Kafka's data, log and state.",
)


@click.group()
def kafka() -> None:
    """A Kafka on this machine, without Docker; not for production.

    Its jars are fetched once, and verified; MAVEN_CENTRAL can name another Maven repository.
    """


@kafka.command()
def install() -> None:
    """Fetch and verify all that Kafka needs, so that it starts offline, and try it out."""
    java = find_java()
    with Fetching() as fetching:
        jars = Jars()
        classes = jars.fetch(fetching.report, verify=True)
    if not Archive(java, classes).use:
        with tempfile.TemporaryDirectory(prefix="kith-kafka-") as folder, LocalKafka(Path(folder), guarded=True):
            click.echo("Kafka runs; making its later starts faster ...", err=True)
    click.echo(f"Kafka {kafka_version()} is in {jars.folder}, with Java {java.major} of {java.program}")


@kafka.command()
@home_option
@click.option(
    "--nodes",
    type=click.IntRange(1, 5),
    help="Nodes, each a process; with 3 one may fail.  [default: those of the last start, else 1]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the first node, the others have the next ones; 0: any free ones.  "
    f"[default: those of the last start, else {DEFAULT_PORT}]",
)
def start(home: Path, nodes: int | None, port: int | None) -> None:
    """Start Kafka, wait until it serves, and write its address HOST:PORT. Its data stay from run to run."""
    status = LocalKafka(home, nodes).status()
    ports: list[int] | None = None
    if port == 0:
        ports = None if status.pids else free_ports(status.nodes)
    elif port is not None or status.bootstrap is None:
        first = DEFAULT_PORT if port is None else port
        ports = list(range(first, first + status.nodes))
        if ports[-1] > 65535:
            raise ConfigError(f"--port: {status.nodes} nodes need ports up to {ports[-1]}")
    with Fetching() as fetching:
        local = LocalKafka(home, nodes, ports, progress=fetching.report)
        bootstrap = local.start()
    click.echo(f"Kafka runs; it logs to {local.log}", err=True)
    click.echo(bootstrap)


@kafka.command()
@home_option
def stop(home: Path) -> None:
    """Stop Kafka gracefully. Its data stay."""
    local = LocalKafka(home)
    if not local.status().pids:
        click.echo(f"{home} holds no Kafka that runs", err=True)
        return
    local.stop()
    click.echo("Kafka is stopped", err=True)


@kafka.command("status")
@home_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
def show_status(home: Path, as_json: bool) -> None:
    """Show whether Kafka runs, where, and since which processes; exit with 1 if a node does not run."""
    local = LocalKafka(home)
    status = local.status()
    if as_json:
        told = {
            "running": status.running,
            "bootstrap": status.bootstrap,
            "nodes": {str(node): status.pids.get(node) for node in range(1, status.nodes + 1)},
            "home": str(local.home),
            "log": str(local.log),
        }
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    elif status.bootstrap is None:
        click.echo(f"{home} holds no Kafka; `kith kafka start` makes one")
    else:
        for node, address in enumerate(status.bootstrap.split(","), 1):
            process = f"process {status.pids[node]}" if node in status.pids else "does not run"
            click.echo(f"node {node}  {address}  {process}")
        click.echo(f"log  {local.log}")
    if not status.running:
        raise SystemExit(1)


class Fetching:
    """A bar on standard error that appears when something is fetched."""

    def __init__(self) -> None:
        columns = (TextColumn("fetching Kafka"), BarColumn(), DownloadColumn())
        self._bars = Progress(*columns, console=Terminal(stderr=True))
        self._task: TaskID | None = None

    def report(self, done: int, total: int) -> None:
        """Show how many bytes are there of how many."""
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task("", total=total)
        self._bars.update(self._task, completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._bars.stop()
