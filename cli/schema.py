"""`kith schema`: the contract of events and topics, for machines."""

from pathlib import Path

import click

from schemas.export import export as export_schemas


@click.group()
def schema() -> None:
    """The contract of events and topics as JSON Schema and AsyncAPI."""


@schema.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def export(directory: Path) -> None:
    """Write the JSON Schema of every message and the AsyncAPI document of all topics to DIRECTORY.

    The folder is made if it is not there; files of the same names are replaced. Prints the files written.
    """
    for path in export_schemas(directory):
        click.echo(path)
