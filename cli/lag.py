"""`kith lag`: how far the workers are behind, and waiting for them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from cli.config import config_option, configured
from cli.terminal import Terminal
from schemas.errors import ConfigError
from stream import lag as stream_lag
from stream.connection import Connection

SECONDS = click.FloatRange(min=0, min_open=True)


@click.command()
@config_option
@click.option("--wait", is_flag=True, help="Wait until everything is worked off, then exit with 0.")
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="With --wait: exit with 1 after so long; default: wait for ever."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
def lag(config: Path | None, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Show how many messages each stage has still to read, and how many workers are there to do it."""
    if timeout is not None and not wait:
        raise ConfigError("--timeout: goes with --wait")
    connection = Connection(configured(config).kafka)
    if wait:
        wait_for_all(connection, timeout)
    stages = stream_lag.lag(connection)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in stages], indent=2))
        return
    names = [(each.stage, each.topic) for each in stages]
    first, second = (max(map(len, column)) for column in zip(*names, strict=True))
    click.echo(f"{'stage':<{first}}  {'topic':<{second}}  partitions         lag  workers")
    for each in stages:
        click.echo(
            f"{each.stage:<{first}}  {each.topic:<{second}}  {each.partitions:>10}  {each.lag:>10,}  {each.workers:>7}"
        )


def wait_for_all(connection: Connection, timeout: float | None) -> None:
    """Wait until all is worked off; shows what is left on a terminal, and says at once if nobody is at work."""
    with _status() as status:
        reading = stream_lag.Lag(connection)
        try:
            behind = {stage for stage, _ in reading.left(reading.look())}
            waiting = sorted(stage for stage, workers in reading.workers().items() if stage in behind and not workers)
        finally:
            reading.close()
        if waiting:
            click.echo(f"no worker is there for {', '.join(waiting)}: waiting for one", err=True)
        stream_lag.wait(connection, timeout, lambda left: status.update(f"waiting: {left:,} left"))


class _Line:
    """What is shown while waiting; nothing where standard error is no terminal."""

    def __init__(self, console: Console) -> None:
        self._status = console.status("waiting") if console.is_terminal else None

    def update(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)


@contextmanager
def _status() -> Iterator[_Line]:
    line = _Line(Terminal(stderr=True))
    if line._status is None:
        yield line
        return
    with line._status:
        yield line
