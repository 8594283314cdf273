"""`kith export`: the state of the live pipeline as tables."""

import sys
from pathlib import Path

import click

from cli.config import config_option, configured
from cli.progress import ReplayProgress
from cli.replay import parse_until
from stream.connection import Connection
from stream.export import export


@click.command("export")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; it appears whole or not at all. An earlier result there is replaced.",
)
@config_option
@click.option(
    "--until",
    metavar="TIME",
    help="Derive profiles as of this time (RFC 3339 with an offset, or epoch milliseconds), not before the last event. "
    "Default: where the clock of a backfill stands, else now.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(out: Path, config: Path | None, until: str | None, quiet: bool) -> None:
    """Write the state of the live pipeline as the tables that a replay writes.

    What is committed when it starts is exported; the workers go on meanwhile. If they have not worked everything off,
    or parts are under way, the summary says so; `kith lag --wait` waits for that.
    """
    settings = configured(config)
    until_ms = None if until is None else parse_until(until)
    connection = Connection(settings.kafka)
    with ReplayProgress(quiet=quiet) as progress:
        summary = export(connection, settings, out, until_ms, progress.report)
    width = max(map(len, SHOWN))
    for name in SHOWN:
        sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {summary[name]:>12,}\n")
    sys.stdout.write(f"as of {summary['until']}, written to {out}\n")
    for line in remarks(summary):
        click.echo(line, err=True)


SHOWN = (
    "events",
    "late_events",
    "deadletters",
    "people",
    "identifiers",
    "merged",
    "split",
    "refused",
    "hub",
    "orders",
    "triggers",
)


def remarks(summary: dict[str, object]) -> list[str]:
    """Return in words what an export does not hold."""
    found = []
    unread, gone = summary["unread"], summary["no_longer_in_kafka"]
    if isinstance(unread, dict) and unread:
        stages = ", ".join(f"{stage} {count:,}" for stage, count in unread.items())
        found.append(f"not worked off yet (messages): {stages}")
    if summary["frozen"] or summary["parts_under_way"]:
        found.append(
            f"parts were under way: {summary['parts_under_way']}, people waiting for parts: {summary['frozen']}"
        )
    if isinstance(gone, dict) and gone:
        topics = ", ".join(f"{topic} {count:,}" for topic, count in gone.items())
        found.append(f"older messages are no longer in Kafka, so tables of them begin later: {topics}")
    return found
