"""`kith topics`: the topics in Kafka against the table of topics."""

from pathlib import Path

import click

from cli.config import config_option, configured
from schemas.errors import StateError
from stream import topics as stream_topics
from stream.connection import Connection
from triggers.rules import RuleSet


@click.group()
def topics() -> None:
    """The topics of Kafka that Kith reads and writes."""


@topics.command()
@config_option
def create(config: Path | None) -> None:
    """Create the topics that are missing, one for each trigger rule too. Those that are there stay as they are."""
    settings = configured(config)
    created = stream_topics.create(Connection(settings.kafka), settings, RuleSet.from_settings(settings), click.echo)
    click.echo(f"{len(created)} topics created" if created else "all topics are there")


@topics.command()
@config_option
def check(config: Path | None) -> None:
    """Compare the topics with what they should be: each difference on a line. Exits with 1 if there is one."""
    settings = configured(config)
    connection = Connection(settings.kafka)
    ruleset = RuleSet.from_settings(settings)
    drift = stream_topics.check(connection, settings, ruleset)
    for line in drift:
        click.echo(line)
    for name in stream_topics.unknown(connection, settings, ruleset):
        click.echo(f"{name}: is in no table (of a rule that is no longer in force?)", err=True)
    if drift:
        raise StateError(f"{len(drift)} differences; kith topics create makes what is missing")
    click.echo("all topics are as they should be")
