"""`kith up`: Kafka, the topics and all stages on one machine, with a live status."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table

from cli.config import config_option, configured
from cli.interrupts import Interrupts
from cli.kafka import DEFAULT_PORT, Fetching
from cli.status import Status, Watcher
from cli.terminal import Terminal
from cli.workers import LAKE, PEOPLE, Workers
from deploy.kafka_local import LocalKafka
from deploy.ports import is_free
from schemas.errors import StateError
from schemas.settings import Settings
from stream.connection import Connection
from stream.topics import create
from triggers.rules import RuleSet

EVERY_S = 0.5
PLAIN_EVERY_S = 5.0

PATIENCE_S = 30.0
"""Workers that restore much are not ready in this time; the status is shown meanwhile."""

MOST_RULES = 4
"""So many rules are named, those that fired most."""


@click.command()
@config_option
@click.option("--broker", metavar="HOST:PORT", help="Use this Kafka instead of starting one.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes, besides the lake's."
)
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
    with Interrupts() as interrupts, local_kafka(settings, broker) as (brokers, see_to_kafka):
        own = settings
        settings = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"brokers": brokers})})
        connection = Connection(settings.kafka)
        made = create(connection, settings, RuleSet.from_settings(settings))
        if made:
            _tell(f"{len(made)} topics created")
        _tell(f"starting {workers} worker{'s' if workers > 1 else ''} ...")
        with (
            _stopped_when_asked(),
            Workers(settings, config, workers, clock, _tell, lambda: interrupts.again) as group,
            Watcher(connection, group.addresses) as watcher,
            _says_so(),
        ):
            group.await_ready(PATIENCE_S)
            for line in _headline(settings, own, group):
                click.echo(line)
            Display(group, watcher, clock, see_to_kafka).run()


@contextmanager
def local_kafka(settings: Settings, broker: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield brokers' addresses, given or of a Kafka that is started, and what is to be called now and then.

    A Kafka that ran already runs on at the end. One that was started here is started again if it dies meanwhile.
    """
    if broker is not None:
        yield broker, lambda: None
        return
    home = Path(settings.worker.data).absolute() / "kafka"
    status = LocalKafka(home).status()
    if status.pids:
        yield LocalKafka(home).start(), lambda: None  # of several nodes one may be down
        return
    first = status.bootstrap is None and is_free(DEFAULT_PORT)
    _tell("starting Kafka ...")
    with Fetching() as fetching:
        kafka = LocalKafka(home, ports=[DEFAULT_PORT] if first else None, guarded=True, progress=fetching.report)
        brokers = kafka.start()

    def see_to_it() -> None:
        if not kafka.status().running:
            _tell(f"Kafka has ended; it is started again; its log is {kafka.log}")
            with suppress(StateError):  # the next call tries again
                kafka.start()

    try:
        yield brokers, see_to_it
    finally:
        _tell("stopping Kafka ...")
        kafka.stop()


@contextmanager
def _stopped_when_asked() -> Iterator[None]:
    """End without an error when asked to stop, once all that is inside has been stopped."""
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def _says_so() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _tell("stopping the workers ... (Ctrl-C kills them: nothing is lost, the next start takes longer)")
        raise


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _headline(settings: Settings, own: Settings, group: Workers) -> list[str]:
    address = next((each for name, each in group.addresses().items() if not name.startswith(LAKE)), None)
    lines = [f"Kafka     {settings.kafka.brokers}", f"log       {group.log}"]
    if address is not None:
        lines.insert(1, f"profiles  http://{address}/profiles/KIND/VALUE")
    if settings.kafka.brokers != own.kafka.brokers:
        lines.append(f"for other commands: export KITH_KAFKA__BROKERS={settings.kafka.brokers}")
    return lines


class Display:
    """Shows the status and watches the workers: as a table on a terminal, else a line now and then."""

    def __init__(self, group: Workers, watcher: Watcher, clock: str, see_to_kafka: Callable[[], None]) -> None:
        self._group = group
        self._watcher = watcher
        self._clock = clock
        self._see_to_kafka = see_to_kafka
        self._began_at = time.monotonic()

    def run(self) -> None:
        """Go on until KeyboardInterrupt. Raises ConfigError if a worker cannot run with its settings."""
        terminal = Terminal(highlight=False)
        if not terminal.is_terminal:
            shown_at = float("-inf")
            while True:
                self._look_after()
                if time.monotonic() - shown_at >= PLAIN_EVERY_S:
                    shown_at = time.monotonic()
                    click.echo(" · ".join(f"{name} {value}" for name, value in self._rows()))
                time.sleep(EVERY_S)
        self._group.tell = terminal.print
        try:
            with Live(self._table(), console=terminal, auto_refresh=False) as live:
                while True:
                    self._look_after()
                    live.update(self._table(), refresh=True)
                    time.sleep(EVERY_S)
        finally:
            self._group.tell = _tell

    def _look_after(self) -> None:
        self._group.watch()
        self._see_to_kafka()

    def _table(self) -> Table:
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, value in self._rows():
            table.add_row(f"[bold]{name}[/]", value)
        table.add_row("", "[dim]Ctrl-C stops everything; data is kept[/]")
        return table

    def _rows(self) -> list[tuple[str, str]]:
        group, status = self._group, self._watcher.status
        restarts = f", {group.restarts} started again" if group.restarts else ""
        return [
            ("up", str(timedelta(seconds=int(time.monotonic() - self._began_at)))),
            ("workers", f"{group.running(PEOPLE)} of {group.count}, lake {group.running(LAKE)} of 1{restarts}"),
            ("events", f"{status.events:,} ({status.per_s:,.0f}/s)"),
            ("people", f"{status.people:,}"),
            ("fired", _counts(status.fired)),
            ("dead letters", _counts(status.refused)),
            ("lag", _lag(status)),
            ("clock", self._clock_text(status)),
        ]

    def _clock_text(self, status: Status) -> str:
        if self._clock == "events":
            return "of the events"
        return "not yet" if status.behind_s is None else f"{status.behind_s:.1f} s behind"


def _counts(numbers: Mapping[str, int]) -> str:
    """Return the sum, and what it is made of."""
    first = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))[:MOST_RULES]
    parts = [f"{name} {value:,}" for name, value in first] + ["..."] * (len(numbers) > MOST_RULES)
    return f"{sum(numbers.values()):,}" + (f" ({', '.join(parts)})" if parts else "")


def _lag(status: Status) -> str:
    if status.lag is None:
        return "not known: Kafka does not answer"
    behind = [f"{stage} {number:,}" for stage, number in status.lag.items() if number]
    return f"{sum(status.lag.values()):,}" + (f" ({', '.join(behind)})" if behind else "")
