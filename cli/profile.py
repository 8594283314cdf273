"""`kith profile`: one person's profile."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from cli.config import Lang, config_option, configured, lang_option
from cli.live_profile import address, as_row, fetch
from cli.person import find, ident_argument
from cli.profile_page import page
from lake.reading import Folder
from schemas.errors import ConfigError
from schemas.settings import Settings


@click.group()
def profile() -> None:
    """Profiles of people."""


@profile.command("show")
@ident_argument
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that kith replay, demo or export wrote; without it a worker is asked.",
)
@click.option("--api", metavar="URL", help="Address of a worker, by default that of the settings on this machine.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@lang_option
def show(identifier: str, source: Path | None, api: str | None, config: Path | None, as_json: bool, lang: Lang) -> None:
    """Show the profile of the person who holds KIND:VALUE: facts, tags with why; of a folder triggers too."""
    if source is None:
        _show_live(identifier, api, configured(config), as_json, lang)
        return
    if api is not None or config is not None:
        raise ConfigError("--from: a folder needs neither --api nor --config")
    _show_stored(identifier, Folder(source), as_json, lang)


def _show_live(identifier: str, api: str | None, settings: Settings, as_json: bool, lang: Lang) -> None:
    told = fetch(api or address(settings.worker.api), settings.worker.api, identifier)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    row, identifiers = as_row(told)
    page(row, identifiers, [], settings, lang)
    if told["frozen"]:
        click.echo(_FROZEN[lang], err=True)


def _show_stored(identifier: str, folder: Folder, as_json: bool, lang: Lang) -> None:
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


_FROZEN = {
    "en": "Parts of this person are just moving from or to somebody else: ask again in a moment.",
    "zh": "此人的部分数据正在合并或拆分中，请稍后再查。",
}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form")
