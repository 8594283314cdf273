"""`kith replay`: files of events in, people, profiles and triggers out."""

import sys
from pathlib import Path

import click

from cli.config import config_option, configured
from cli.progress import ReplayProgress
from ingest.mapping import load as load_mappings
from schemas.errors import ConfigError
from schemas.times import MAX_MS, parse_rfc3339
from stream.replay import replay


@click.command("replay")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@config_option
@click.option(
    "--map",
    "mapping",
    type=click.Path(path_type=Path),
    help="Mapping file (YAML) that makes events of the rows of a table; see docs/mapping.md.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Run the clock on to this time, inclusive (RFC 3339 with an offset, or epoch milliseconds); later events are "
    "counted and left out. Default: the time of the last event.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; it appears whole or not at all. An earlier result there is replaced.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    events: tuple[str, ...], config: Path | None, mapping: Path | None, until: str | None, out: Path, quiet: bool
) -> None:
    """Replay EVENTS into people, profiles and triggers.

    EVENTS are files of JSON Lines (plain, gzip or zstd), Parquet, or CSV with --map; - is standard input. Their order,
    repeats and division into files do not matter.
    """
    settings = configured(config)
    until_ms = None if until is None else parse_until(until)
    mappings = None if mapping is None else load_mappings(str(mapping))
    with ReplayProgress(quiet=quiet) as progress:
        summary = replay(list(events), out, settings, mappings, until_ms, progress.report)
    print_counts(summary, out)


def parse_until(text: str, option: str = "--until") -> int:
    """Return the instant in epoch milliseconds. Raises ConfigError naming the option."""
    try:
        return int(text) if text.isascii() and text.isdigit() and int(text) < MAX_MS else parse_rfc3339(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


def print_counts(summary: dict[str, object], out: Path) -> None:
    """Print the summary's main figures to standard output."""
    width = max(map(len, SHOWN))
    for name in SHOWN:
        value = summary[name]
        sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {value:>12,}\n")
    sys.stdout.write(f"written to {out}\n")


SHOWN = (
    "lines",
    "events",
    "duplicates",
    "deadletters",
    "left_out",
    "people",
    "identifiers",
    "merged",
    "split",
    "refused",
    "hub",
    "orders",
    "triggers",
)
