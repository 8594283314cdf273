"""`kith identity`: why someone is who they are."""

from pathlib import Path

import click

from cli.config import Lang, lang_option
from cli.person import find, from_option, ident_argument
from identity.explain import explain as explain_evidence
from identity.explain import gather
from identity.policy import Policy
from lake.reading import Folder


@click.group()
def identity() -> None:
    """Who is who, and why."""


@identity.command("explain")
@ident_argument
@from_option
@click.option("--dot", is_flag=True, help="Write the graph as Graphviz DOT instead, for example for `dot -Tsvg`.")
@lang_option
def explain(identifier: str, source: Path, dot: bool, lang: Lang) -> None:
    """Explain the person who holds KIND:VALUE: the evidence, what joined what, what was refused and why."""
    folder = Folder(source)
    settings = folder.settings
    ident, _ = find(folder, identifier)
    around = gather(ident, folder.evidence, folder.members)
    told = explain_evidence(
        around.rows,
        ident,
        Policy.from_settings(settings),
        lang,
        settings.space,
        around.whole,
    )
    click.echo(told.dot if dot else "\n".join(told.lines), nl=not dot)
