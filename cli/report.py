"""`kith report`: ready answers from a snapshot, in the terminal or as one HTML file."""

import os
from pathlib import Path

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from cli.config import Lang, lang_option
from cli.terminal import Terminal
from lake.answers import ANSWERS, Answer, by_name
from lake.answers.answer import pick
from lake.answers.opened import opened
from lake.answers.page import WORDS, about, write_page
from lake.answers.shown import COMPLETE, Rows, shown, shown_columns, shown_row
from schemas.errors import ConfigError

ROWS = 40
"""Rows of an answer shown in the terminal."""

FILE_WIDTH = 120
"""Width of lines when no terminal says its own."""

WIDEST = 30
"""Names that are longer go on in a second line."""

ROOMY = (16, 13, 10)
"""Widths up to which a label stands in one line, the first for which there is room."""

TILES = 13
"""Columns of an answer that is drawn as tiles: a year and the month it began with."""


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option(
    "--from", "source", required=True, type=click.Path(path_type=Path), help="Snapshot: a folder with a kith.duckdb."
)
@click.option(
    "--before",
    type=click.Path(path_type=Path),
    help="An earlier snapshot, for what compares two. Default: the newest earlier one beside it.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write one HTML file with charts, which opens offline.")
@lang_option
def report(name: str | None, source: Path, before: Path | None, html: Path | None, lang: Lang) -> None:
    """Answer what is asked often: NAME, or everything without it.

    Reads folders that kith snapshot, replay, export or demo wrote.
    """
    chosen = ANSWERS
    if name is not None:
        answer = by_name(name)
        if answer is None:
            raise ConfigError(f"{name}: there is no such report; there are {', '.join(each.name for each in ANSWERS)}")
        chosen = (answer,)
    with opened(source, chosen, before) as found:
        if name is not None and found.why_not:
            raise ConfigError(f"{name}: {pick(found.why_not[chosen[0]], lang)}")
        answers = {each: found.rows(each) for each in chosen if each not in found.why_not}
    if html is not None:
        write_page(html, found, answers, lang)
        click.echo(f"{len(answers)} reports written to {html}")
    else:
        console = Terminal(highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = FILE_WIDTH
        console.print(about(found, lang), style="dim")
        for each, rows in answers.items():
            console.print()
            _print(console, each, rows, found.scale, lang)
    for lacking, why in found.why_not.items():
        click.echo(f"{lacking.name}: {pick(why, lang)}", err=True)


def _print(console: Console, answer: Answer, rows: Rows, scale: int, lang: Lang) -> None:
    console.print(pick(answer.title, lang), style="bold", markup=False)
    console.print(pick(answer.note, lang), style="dim", markup=False)
    if not rows:
        console.print(pick(answer.empty, lang), markup=False)
        return
    if answer.chart.kind == "heat":
        _print_tiles(console, answer, rows, scale, lang)
        return
    newest = answer.chart.x in ("month", "day", "cohort")
    kept = rows[-ROWS:] if newest else rows[:ROWS]
    texts = [shown_row(answer, row, scale, lang) for row in kept]
    labels = [answer.label(column, lang) for column in shown_columns(answer)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for place, width in enumerate(_widths(labels, texts, console.width)):
        table.add_column(labels[place], justify="right" if place else "left", overflow="fold", width=width)
    for row in texts:
        table.add_row(*map(_plain, row))
    console.print(table)
    if len(kept) < len(rows):
        told = WORDS["last" if newest else "first"]
        console.print(pick(told, lang).format(shown=len(kept), all=f"{len(rows):,}"), style="dim")
    if any(text.endswith("*") for row in texts for text in row):
        console.print(pick(WORDS["running"], lang), style="dim")


def _widths(labels: list[str], texts: list[list[str]], room: int) -> list[int]:
    """Return how wide each column is: values and words stay whole, and labels too as far as there is room."""
    narrow = []
    for place, label in enumerate(labels):
        words = label.split() if label.isascii() else [label[:4]]
        narrow.append(min(WIDEST, max(map(cell_len, (*words, *(row[place] for row in texts))))))
    room -= 2 * len(labels) + 1
    for most in ROOMY:
        roomy = [max(least, min(most, cell_len(label))) for least, label in zip(narrow, labels, strict=True)]
        if sum(roomy) <= room:
            return roomy
    return narrow


def _print_tiles(console: Console, answer: Answer, rows: Rows, scale: int, lang: Lang) -> None:
    """Print the share by cohort and months later as a triangle, the newest cohorts if there are many."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    lines = [dict(zip(answer.columns, row, strict=True)) for row in rows]
    by, size = answer.chart.by or "", "size"
    months = sorted({line[answer.chart.x] for line in lines})[:TILES]
    for label in (answer.label(by, lang), answer.label(size, lang), *map(str, months)):
        table.add_column(label, justify="right")
    cells = {(line[by], line[answer.chart.x]): line for line in lines}
    for cohort in sorted({line[by] for line in lines})[-ROWS:]:
        own = [cells.get((cohort, month)) for month in months]
        texts = ["" if cell is None else f"{cell['share']:.0%}{'' if cell[COMPLETE] else '*'}" for cell in own]
        table.add_row(shown(cohort, by, scale, lang), f"{cells[cohort, 0][size]:,}", *texts)
    console.print(table)


def _plain(text: str) -> str:
    """Keep a name in brackets from being read as markup."""
    return text.replace("[", "\\[")
