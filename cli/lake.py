"""`kith lake`: the lake's files: which count, merging small ones, and whether they are what they should be."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import click

from cli.config import config_option, configured
from cli.progress import ReplayProgress
from lake import catalogue, checking, compact
from lake.catalogue import Listing
from lake.lake_tables import BY_NAME
from lake.store import LakeStore
from schemas.errors import ConfigError, StateError
from schemas.settings import Settings
from schemas.times import parse_duration
from stream.connection import Connection
from stream.lag import Lag
from stream.stage_lake import lake_url

LOOK_S = 0.5
"""Seconds between two looks at how far the lake is."""

lake_option = click.option(
    "--lake", "url", metavar="URL", help="Folder or URL of the lake; default: by the settings, else kith-data/lake."
)


def lake_of(settings: Settings, url: str | None) -> tuple[LakeStore, list[Listing]]:
    """Return the lake and its listings. Raises ConfigError if there is none."""
    store = LakeStore(url or lake_url(settings))
    listings = catalogue.read_all(store)
    if not listings:
        raise ConfigError(f"there is no lake at {store.url}: name it with --lake, or let a worker write one")
    return store, listings


def wait_until(store: LakeStore, seconds: float, there: Callable[[list[Listing]], bool]) -> bool:
    """Look at the listings again and again until they are what is waited for; return whether they were in time."""
    deadline = time.monotonic() + seconds
    while not there(catalogue.read_all(store)):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


@click.group()
def lake() -> None:
    """Look at the lake's files, and tidy them up."""


@lake.command()
@click.argument("table", required=False, type=click.Choice(sorted(BY_NAME)), metavar="[TABLE]")
@config_option
@lake_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
def files(table: str | None, config: Path | None, url: str | None, as_json: bool) -> None:
    """List the Parquet files that count, of TABLE or by table how many there are."""
    store, listings = lake_of(configured(config), url)
    if table is not None:
        paths = [store.full(file.path) for _, file in catalogue.files(listings, table)]
        click.echo(json.dumps(paths, indent=2, ensure_ascii=False) if as_json else "\n".join(paths))
        return
    found = {name: [file for _, file in catalogue.files(listings, name)] for name in BY_NAME}
    rows = [
        {"table": name, "files": len(some), "rows": sum(f.rows for f in some), "bytes": sum(f.bytes for f in some)}
        for name, some in found.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{'table':<18}{'files':>8}{'rows':>15}{'bytes':>18}")
    for row in rows:
        click.echo(f"{row['table']:<18}{row['files']:>8,}{row['rows']:>15,}{row['bytes']:>18,}")


@lake.command("compact")
@config_option
@lake_option
@click.option("--least", type=click.IntRange(min=2), default=2, show_default=True, help="Merge so many files or more.")
@click.option(
    "--keep", metavar="DURATION", help="How long replaced files stay for their readers; default: by the settings."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def compact_command(config: Path | None, url: str | None, least: int, keep: str | None, dry_run: bool) -> None:
    """Merge small files into larger ones, and remove those that were replaced a while ago.

    Readers and workers go on meanwhile. On an object store, where nothing can be locked, only the workers merge the
    files of their own partitions (lake.compact_every); there this needs that no worker writes the lake.
    """
    settings = configured(config)
    store, listings = lake_of(settings, url)
    try:
        keep_ms = parse_duration(keep or settings.lake.keep_replaced)
    except ValueError as error:
        raise ConfigError(f"--keep: {error}") from error
    chosen = compact.groups(listings, least)
    count = sum(len(group.files) for group in chosen)
    if dry_run:
        click.echo(f"{count:,} files would become {len(chosen):,}")
        return
    if store.local is None:
        _nobody_writes(settings)
    with ReplayProgress() as progress:
        done = compact.compact(store, chosen, progress=lambda done, total: progress.report("merging", done, total))
    gone = compact.sweep(store, keep_ms / 1000)
    click.echo(f"{done.files:,} files became {done.groups:,}, {len(gone):,} old ones were removed")


@lake.command()
@config_option
@lake_option
def check(config: Path | None, url: str | None) -> None:
    """Check that every listed file is there, whole, and holds what it should; exit with 1 if not."""
    store, listings = lake_of(configured(config), url)
    found = 0
    with ReplayProgress() as progress:
        for fault in checking.faults(store, listings, lambda done, total: progress.report("checking", done, total)):
            click.echo(fault)
            found += 1
    if found:
        raise StateError(f"{found:,} of {sum(len(each.files) for each in listings):,} files are wrong")
    click.echo(f"{sum(len(each.files) for each in listings):,} files, all as they should be")


def _nobody_writes(settings: Settings) -> None:
    lag = Lag(Connection(settings.kafka))
    try:
        workers = lag.lake().workers
    finally:
        lag.close()
    if workers:
        raise ConfigError(
            f"{workers} workers write this lake and merge its files themselves (lake.compact_every); "
            "on an object store nobody else can while they do"
        )
