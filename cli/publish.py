"""`kith publish`: files of events into Kafka, for trying and for loading."""

from pathlib import Path

import click

from cli.config import config_option, configured
from cli.progress import ReplayProgress
from ingest.mapping import load as load_mappings
from stream.connection import Connection
from stream.publish import publish


@click.command("publish")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@config_option
@click.option(
    "--map",
    "mapping",
    type=click.Path(path_type=Path),
    help="Mapping file (YAML) that makes events of the rows of a table; see docs/mapping.md.",
)
@click.option("--strict", is_flag=True, help="Publish nothing if a line is invalid; exits with 2 and names the first.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(events: tuple[str, ...], config: Path | None, mapping: Path | None, strict: bool, quiet: bool) -> None:
    """Publish EVENTS to the raw topics, in their order.

    EVENTS are files of JSON Lines (plain, gzip or zstd), Parquet, or CSV with --map; - is standard input. Invalid
    lines are published too, and become dead letters, unless --strict.
    """
    settings = configured(config)
    mappings = None if mapping is None else load_mappings(str(mapping))
    with ReplayProgress(quiet=quiet) as progress:
        done = publish(
            Connection(settings.kafka),
            settings,
            list(events),
            mappings,
            strict=strict,
            report=lambda read, total, _: progress.report("publish", read, total),
        )
    rows = [("lines", done.lines), *sorted(done.topics.items())]
    width = max(len(name) for name, _ in rows)
    for name, count in rows:
        click.echo(f"{name:<{width}}  {count:>12,}")
    if done.refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in done.refused.most_common())
        click.echo(f"of these {done.refused.total():,} will be dead letters: {reasons}", err=True)
        click.echo(f"the first: {done.first_refused}", err=True)
