"""`kith up`: Kafka, the topics and all stages on one machine, with a live status."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.live import Live
from rich.table import Table

from cli.config import config_option, configured
from cli.terminal import Terminal
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from stream.connection import Connection
from stream.lag import lag
from stream.topics import create
from triggers.rules import RuleSet

EVERY_S = 1.0
PLAIN_EVERY_S = 5.0
STOP_S = 60.0


@click.command()
@config_option
@click.option("--broker", metavar="HOST:PORT", help="Use this Kafka instead of starting one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes to run.")
@click.option(
    "--clock",
    type=click.Choice(["live", "events"]),
    default="live",
    show_default=True,
    help="Time of day, or the events' own times (see kith worker).",
)
def up(config: Path | None, broker: str | None, workers: int, clock: str) -> None:
    """Start everything on this machine: Kafka, the topics, the workers. Ctrl-C stops it all; data is kept.

    Publish with any Kafka client, or with kith publish.
    """
    settings = configured(config)
    data = Path(settings.worker.data).absolute()
    with local_kafka(data, broker) as brokers:
        settings = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"brokers": brokers})})
        with Pipeline(settings, config, workers, clock) as pipeline:
            click.echo(f"Kafka {brokers} · profiles {pipeline.address()}/profiles/KIND/VALUE · log {pipeline.log}")
            pipeline.show()


@contextmanager
def local_kafka(data: Path, broker: str | None) -> Iterator[str]:
    """Yield the brokers' addresses: those given, or of a Kafka that is started, and stopped if it was not running."""
    if broker is not None:
        yield broker
        return
    kafka = LocalKafka(data / "kafka")
    was_running = bool(kafka.status().pids)
    if not was_running:
        click.echo("starting Kafka ...", err=True)
    brokers = kafka.start()
    try:
        yield brokers
    finally:
        if not was_running:
            click.echo("stopping Kafka ...", err=True)
            kafka.stop()


class Pipeline:
    """The worker processes, watched: one that ends is started again."""

    def __init__(self, settings: Settings, config: Path | None, workers: int, clock: str) -> None:
        self.settings = settings
        self.connection = Connection(settings.kafka)
        self.log = Path(settings.worker.data).absolute() / "workers.log"
        self._command = [sys.executable, "-m", "cli.main", "worker", "--clock", clock]
        if config is not None:
            self._command += ["--config", str(config.absolute())]
        self._count = workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._output: IO[bytes] | None = None
        self._started_at = time.time()
        self._stopped = False

    def __enter__(self) -> "Pipeline":
        create(self.connection, self.settings, RuleSet.from_settings(self.settings))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._output = self.log.open("ab")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._processes.append(self._spawn())
        self._await_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._output is not None:
            self._output.close()

    def address(self) -> str:
        """Return the URL of the first worker's HTTP side."""
        found = self._addresses()
        return f"http://{found[0]}" if found else "(not yet)"

    def show(self) -> None:
        """Show the status until asked to stop."""
        terminal = Terminal(highlight=False)
        if not terminal.is_terminal:
            while not self._stopped:
                self.watch()
                click.echo(self.line())
                self._sleep(PLAIN_EVERY_S)
            return
        with Live(self.table(), console=terminal, refresh_per_second=4, transient=False) as live:
            while not self._stopped:
                self.watch()
                live.update(self.table())
                self._sleep(EVERY_S)

    def watch(self) -> None:
        """Start again what has ended."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None and not self._stopped:
                click.echo(
                    f"worker {process.pid} ended with {process.returncode}: started again, see {self.log}", err=True
                )
                self._processes[place] = self._spawn()

    def numbers(self) -> dict[str, float]:
        """Return what the workers count, summed: by metric name, and by `name:label` for triggers."""
        total: dict[str, float] = {}
        for address in self._addresses():
            with suppress(OSError, urllib.error.URLError):
                with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as answer:
                    text = answer.read().decode()
                for family in text_string_to_metric_families(text):
                    for sample in family.samples:
                        total[sample.name] = total.get(sample.name, 0) + sample.value
                        stage = sample.labels.get("stage") or sample.labels.get("outcome")
                        if stage:
                            key = f"{sample.name}:{stage}"
                            total[key] = total.get(key, 0) + sample.value
        return total

    def line(self) -> str:
        """Return the status in one line."""
        return " · ".join(f"{name} {value}" for name, value in self._status())

    def table(self) -> Table:
        """Return the status as a table."""
        table = Table(show_header=False, box=None)
        for name, value in self._status():
            table.add_row(name, value)
        return table

    def _status(self) -> list[tuple[str, str]]:
        numbers = self.numbers()
        behind = sum(stage.lag for stage in lag(self.connection))
        events = numbers.get("kith_events_total:identify", 0)
        return [
            ("up", f"{time.time() - self._started_at:.0f} s"),
            ("workers", str(sum(process.poll() is None for process in self._processes))),
            ("events", f"{events:,.0f}"),
            ("people", f"{numbers.get('kith_people', 0):,.0f}"),
            ("fired", f"{numbers.get('kith_triggers_total:fired', 0):,.0f}"),
            ("dead letters", f"{numbers.get('kith_dead_letters_total', 0):,.0f}"),
            ("lag", f"{behind:,}"),
        ]

    def _spawn(self) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "KITH_KAFKA__BROKERS": self.settings.kafka.brokers}
        return subprocess.Popen(self._command, env=environ, stdout=self._output, stderr=self._output)  # noqa: S603

    def _await_ready(self) -> None:
        while not self._stopped:
            addresses = self._addresses()
            if len(addresses) >= self._count and all(map(_is_ready, addresses)):
                return
            self.watch()
            self._sleep(0.2)

    def _addresses(self) -> list[str]:
        data = Path(self.settings.worker.data).absolute()
        found = []
        for path in sorted(data.glob("worker-*/address")):
            with suppress(OSError):
                if path.stat().st_mtime >= self._started_at:
                    found.append(path.read_text().strip())
        return found

    def _stop(self, *_: Any) -> None:
        self._stopped = True

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopped and time.monotonic() < end:
            time.sleep(0.05)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
