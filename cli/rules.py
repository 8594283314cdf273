"""`kith rules`: the trigger rules in force, explained."""

import json
import textwrap
from pathlib import Path

import click
from rich.cells import cell_len

from cli.config import config_option, configured, lang_option
from triggers.explain import explain, summary
from triggers.rules import RuleSet

WIDTH = 100
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")


@click.group()
def rules() -> None:
    """The trigger rules in force: when Kith says that the moment to act has come."""


@rules.command("list")
@config_option
@lang_option
@json_option
def list_rules(config: Path | None, lang: str, as_json: bool) -> None:
    """List all rules with their title, what they count from and when they are due."""
    ruleset = RuleSet.from_settings(configured(config))
    rows = [summary(rule, lang) for rule in ruleset.rules]
    if as_json:
        names = ("name", "title", "anchor", "due")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], ensure_ascii=False, indent=2))
        return
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@rules.command("show")
@click.argument("name")
@config_option
@lang_option
def show_rule(name: str, config: Path | None, lang: str) -> None:
    """Explain the rule NAME: what it counts from, what calls it off, and what holds it back."""
    ruleset = RuleSet.from_settings(configured(config))
    for line in explain(ruleset.rule(name), ruleset, lang):
        # A Chinese character takes two cells, so fewer fit on a line.
        room = WIDTH * len(line) // max(cell_len(line), 1)
        click.echo("\n".join(textwrap.wrap(line, max(room, 20))) if cell_len(line) > WIDTH else line)
