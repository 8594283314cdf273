"""`kith check`: is this configuration right?"""

from pathlib import Path

import click

from cli.config import configured


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="YAML file with settings to check, together with the KITH_... variables.",
)
def check(config: Path) -> None:
    """Check a configuration: every mistake with its file, line and field.

    Exits with 0 if all is right, else with 2.
    """
    configured(config)
    click.echo(f"{config}: all settings are right")
