"""`kith clock`: the clock of a backfill."""

from pathlib import Path

import click

from cli.config import config_option, configured
from cli.lag import SECONDS, wait_for_all
from cli.replay import parse_until
from schemas.errors import ConfigError
from schemas.times import format_ms
from stream.clock_command import advance as send
from stream.connection import Connection


@click.group()
def clock() -> None:
    """The clock of workers that follow the events' times (`kith worker --clock events`)."""


@clock.command()
@click.argument("time")
@config_option
@click.option("--no-wait", is_flag=True, help="Do not wait until everybody's clock has come there.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Exit with 1 after so long; default: wait for ever.")
def advance(time: str, config: Path | None, no_wait: bool, timeout: float | None) -> None:
    """Move everybody's clock on to TIME, so that what is due until then fires.

    TIME is RFC 3339 with an offset, or epoch milliseconds. Workers that follow the wall clock ignore it.
    """
    to_ms = parse_until(time, "TIME")
    if no_wait and timeout is not None:
        raise ConfigError("--timeout: goes with waiting, not with --no-wait")
    connection = Connection(configured(config).kafka)
    send(connection, to_ms)
    if not no_wait:
        wait_for_all(connection, timeout)
    click.echo(format_ms(to_ms))
