"""`kith worker`: stages of the live pipeline in one process."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Literal

import click

from cli.config import config_option, configured
from schemas.errors import ConfigError
from stream.stages import STAGES


@click.command()
@config_option
@click.option(
    "--stages",
    default=",".join(STAGES),
    show_default=True,
    metavar="NAMES",
    help="Stages to run, with commas; control: commands, alarms and webhooks; lake: the Parquet files of the lake.",
)
@click.option(
    "--clock",
    type=click.Choice(["live", "events"]),
    default="live",
    show_default=True,
    help="Time of day, or for backfills and tests the events' own times and kith clock advance.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much to tell on stderr.",
)
@click.option(
    "--until-eof",
    is_flag=True,
    help="Stop also when standard input ends, as it does when the program that runs this ends.",
)
def worker(config: Path | None, stages: str, clock: Literal["live", "events"], log_level: str, until_eof: bool) -> None:
    """Run a worker: it takes its share of the partitions, and gives them back when it is stopped (SIGTERM, Ctrl-C).

    Start as many as you like, on one machine or several; missing topics are created.
    """
    chosen = [name.strip() for name in stages.split(",") if name.strip()]
    for name in chosen:
        if name not in STAGES:
            raise ConfigError(f"--stages: there is no stage {name!r}; there are {', '.join(STAGES)}")
    if not chosen:
        raise ConfigError(f"--stages: name at least one of {', '.join(STAGES)}")
    settings = configured(config)
    set_up_logging(log_level)
    if until_eof:
        threading.Thread(target=stop_at_eof, name="standard input", daemon=True).start()
    from stream.worker import Worker  # takes a second to import, which --help need not wait for

    sys.exit(Worker(settings, chosen, clock).run())


def stop_at_eof() -> None:
    """Wait for the end of standard input, then stop this process as SIGTERM does."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def set_up_logging(level: str) -> None:
    """Log to stderr, a line for each entry."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    for noisy in ("faust", "aiokafka", "mode", "kafka"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
