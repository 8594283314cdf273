"""What a replay found, printed for a terminal: people, the RFM grid, lifecycle, triggers, one customer's story."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lake.report import local_time, truth_cards
from lake.report_charts import Agreement
from lake.report_data import Figures, read_figures
from lake.report_words import (
    CARDS,
    CHARTS,
    OUTCOMES,
    PAGE,
    SEGMENTS,
    STAGES,
    Both,
    Lang,
    segment_name,
    stage_name,
    word,
)
from lake.story import StoryLine, pick_customer, rule_title, shorten, story

_BAR = 40
_COLOURS = {
    "merged": "magenta",
    "split": "magenta",
    "refused": "magenta",
    "hub": "magenta",
    "order": "cyan",
    "trigger": "green",
    "tag": "yellow",
    "profile": "bold",
}
_WORDS: dict[str, Both] = {
    "rule": {"en": "Rule", "zh": "规则"},
    "high": {"en": "R high: bought lately", "zh": "R 高：最近购买过"},
    "low": {"en": "R low: long ago", "zh": "R 低：很久没买"},
}


def print_summary(
    console: Console,
    out_dir: Path,
    truth: Agreement | None = None,
    lang: Lang = "en",
    zone: str = "Asia/Shanghai",
    story_lines: int = 40,
) -> None:
    """Print what the tables in `out_dir` say: key figures, the truth, RFM, lifecycle, triggers, a story."""
    figures = read_figures(out_dir, zone)
    _print_figures(console, figures, lang)
    if truth is not None:
        _title(console, word(PAGE, "truth", lang))
        console.print("   ".join(f"{name} [bold]{value}[/bold]" for name, value in truth_cards(truth, lang)))
    _title(console, "RFM")
    console.print(_rfm(figures, lang))
    _title(console, CHARTS["lifecycle"][lang][0])
    console.print(_lifecycle(figures, lang))
    _title(console, CHARTS["rules"][lang][0])
    console.print(_rules(figures, lang))
    one_id = pick_customer(out_dir)
    if one_id is not None:
        _title(console, f"{word(PAGE, 'story', lang)} · {one_id}")
        print_story(console, shorten(story(out_dir, one_id, lang), story_lines, lang), zone)


def print_story(console: Console, lines: list[StoryLine], zone: str = "Asia/Shanghai") -> None:
    """Print a story, one line for each thing that happened."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        # Text, not markup: identifiers may hold square brackets
        table.add_row(local_time(line.at_ms, zone), Text(line.text, style=_COLOURS.get(line.kind, "")))
    console.print(table)


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _print_figures(console: Console, figures: Figures, lang: Lang) -> None:
    shown = [
        f"{word(CARDS, name, lang)} [bold]{figures.cards[name]:,}[/bold]" for name in CARDS if name in figures.cards
    ]
    shown.append(f"{word(CARDS, 'revenue', lang)} [bold]{figures.revenue:,.2f} {figures.currency}[/bold]")
    console.print("   ".join(shown))


def _rfm(figures: Figures, lang: Lang) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(word(_WORDS, "high", lang))
    table.add_column(word(_WORDS, "low", lang))
    by_letters = {letters: segment for segment, (_, letters) in SEGMENTS.items()}
    for tail in ("HH", "LH", "HL", "LL"):
        cells = []
        for recency in "HL":
            segment = by_letters[recency + tail]
            people, revenue = figures.rfm[segment]
            name = f"[bold]{segment_name(segment, lang)}[/bold] [dim]{recency}{tail}[/dim]"
            cells.append(f"{name}\n{people:,} {word(PAGE, 'people', lang)} · {revenue:,.0f} {figures.currency}")
        table.add_row(*cells)
    return table


def _lifecycle(figures: Figures, lang: Lang) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="blue")
    most = max(figures.lifecycle.values(), default=0)
    for stage in [*STAGES, *(stage for stage in figures.lifecycle if stage not in STAGES)]:
        count = figures.lifecycle[stage]
        table.add_row(stage_name(stage, lang), f"{count:,}", "█" * (round(_BAR * count / most) if most else 0))
    return table


def _rules(figures: Figures, lang: Lang) -> Table:
    outcomes = [key for key in OUTCOMES if key in figures.rules] + sorted(figures.rules.keys() - OUTCOMES.keys())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(word(_WORDS, "rule", lang), no_wrap=True)
    for outcome in outcomes:
        table.add_column(word(OUTCOMES, outcome, lang), justify="right")
    rules = sorted({rule for counts in figures.rules.values() for rule in counts})
    for rule in rules:
        name = f"{rule}\n  [dim]{rule_title(rule, lang)}[/dim]"
        table.add_row(name, *(f"{figures.rules[outcome].get(rule, 0):,}" for outcome in outcomes))
    return table
