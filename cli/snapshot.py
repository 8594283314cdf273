"""`kith snapshot`: a consistent picture of all people at one moment, from the lake alone."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from cli.config import config_option, configured
from cli.lake import lake_option, wait_until
from cli.progress import ReplayProgress
from cli.replay import parse_until
from lake import catalogue
from lake.catalogue import Listing
from lake.snapshot_series import next_of_series
from lake.snapshot_sources import MEMORY
from lake.store import LakeStore
from schemas.errors import ConfigError, TransientError
from stream.cut import complete_ms
from stream.snapshot import snapshot
from stream.stage_lake import TELL_S, lake_url

SILENT_S = 3 * TELL_S
"""If no worker has said anything for so long none is running: the lake is as complete as it will be."""

SHOWN = ("events", "people", "identifiers", "merged", "split", "refused", "hub", "orders", "triggers")


@click.command("snapshot")
@click.option(
    "--as-of",
    metavar="TIME",
    help="Show people as the events up to this time make them (RFC 3339 with an offset, or epoch milliseconds). "
    "Default: as they are now.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write; it appears whole or not at all. An earlier result there is replaced.",
)
@click.option(
    "--series",
    type=click.Path(path_type=Path),
    help="In place of --out: write a new folder in this one, named by the time, and let `latest` lead to it.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="K", help="With --series: keep the last K, and remove older ones."
)
@config_option
@lake_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="While workers run, wait up to so long until what is written by now is in the lake.",
)
@click.option("--processes", type=click.IntRange(min=1), help="Processes that derive profiles; default: one a core.")
@click.option("--memory", default=MEMORY, show_default=True, help="What the database may use, such as 4GB.")
@click.option("--json", "machine", is_flag=True, help="Write the summary as JSON, for machines.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    as_of: str | None,
    out: Path | None,
    series: Path | None,
    keep: int | None,
    config: Path | None,
    url: str | None,
    wait: float,
    processes: int | None,
    memory: str,
    machine: bool,
    quiet: bool,
) -> None:
    """Write all people of one moment, with what they have, as Parquet and as a DuckDB file.

    It reads the lake and nothing else; workers and readers go on meanwhile. Whoever reads the file that is replaced
    goes on reading the old one. The summary says up to which time and offsets the picture is complete.
    """
    if (out is None) == (series is None):
        raise ConfigError("name a folder with --out, or one for a series of snapshots with --series")
    if keep is not None and series is None:
        raise ConfigError("--keep: goes with --series")
    settings = configured(config)
    as_of_ms = None if as_of is None else parse_until(as_of, "--as-of")
    store = LakeStore(url or lake_url(settings))
    wait_for(store, wait)

    def make(folder: Path) -> dict[str, Any]:
        with ReplayProgress(quiet=quiet) as progress:
            return snapshot(store, settings, folder, as_of_ms, progress.report, processes, memory=memory)

    if series is None:
        assert out is not None  # noqa: S101  one of the two
        folder, summary = out, make(out)
    else:
        with next_of_series(series, keep) as folder:
            summary = make(folder)
    if machine:
        sys.stdout.write(json.dumps({**summary, "folder": str(folder)}, ensure_ascii=False, indent=2) + "\n")
        return
    width = max(map(len, SHOWN))
    for name in SHOWN:
        sys.stdout.write(f"{name:<{width}}  {summary[name]:>12,}\n")
    sys.stdout.write(f"as of {summary['until']}, complete up to {summary['complete_through']}, written to {folder}\n")
    for line in remarks(summary):
        click.echo(line, err=True)


def wait_for(store: LakeStore, seconds: float) -> None:
    """Return when the lake has what had been written when this began, if workers fill it; at the latest in time."""
    began_ms = time.time() * 1000

    def there(listings: list[Listing]) -> bool:
        try:
            complete = complete_ms(listings) >= began_ms
        except TransientError:
            complete = not listings  # the snapshot says what is missing
        return complete or not catalogue.at_work(store, int((time.time() - SILENT_S) * 1000))

    if seconds and not wait_until(store, seconds, there):
        click.echo(f"the lake did not catch up within {seconds:g} s; this is what it has", err=True)


def remarks(summary: dict[str, Any]) -> list[str]:
    """Return in words what a reader of the snapshot should know."""
    found = []
    if summary["frozen"] or summary["parts_under_way"] or summary["parts_not_there_yet"]:
        found.append(
            f"facts of {summary['parts_under_way']} identifiers were on their way to another person, "
            f"{summary['parts_not_there_yet']} had none yet, {summary['frozen']} people waited for theirs"
        )
    if summary["parts_with_other_events"]:
        found.append(
            f"{summary['parts_with_other_events']} identifiers have another number of events than the lake: "
            "see kith verify"
        )
    return found
