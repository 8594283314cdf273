"""`kith profile`: one person's profile."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from cli.config import Lang, lang_option
from cli.person import find, from_option, ident_argument
from cli.profile_page import page
from lake.reading import Folder


@click.group()
def profile() -> None:
    """Profiles of people."""


@profile.command("show")
@ident_argument
@from_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@lang_option
def show(identifier: str, source: Path, as_json: bool, lang: Lang) -> None:
    """Show the profile of the person who holds KIND:VALUE: facts, tags with why, triggers."""
    folder = Folder(source)
    _, one_id = find(folder, identifier)
    row = folder.profile(one_id)
    row["tag_reasons"] = json.loads(row["tag_reasons"])
    identifiers = folder.identifiers(one_id)
    triggers = folder.triggers(one_id)
    for trigger in triggers:
        trigger["payload"] = json.loads(trigger["payload"])
    if as_json:
        told = {**row, "identifiers": identifiers, "triggers": triggers}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2, default=_plain))
    else:
        page(row, identifiers, triggers, folder.settings, lang)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form")
