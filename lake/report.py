"""The report of a replay: one HTML file that opens anywhere, offline, in English and Chinese."""

import json
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from lake.report_charts import Agreement, charts
from lake.report_data import Figures, read_figures
from lake.report_words import CARDS, LANGS, PAGE, TRUTH, Lang, word
from lake.story import StoryLine, pick_customer, shorten, story
from schemas.times import zone as time_zone

__all__ = ["Agreement", "write_report"]

_STORY_LINES = 80
"""A page's worth: the story of a busy customer is cut in its least telling lines."""


def write_report(
    out_dir: Path, report_path: Path, lang: Lang = "en", truth: Agreement | None = None, zone: str = "Asia/Shanghai"
) -> None:
    """Write the report of the tables in `out_dir` to `report_path`.

    `lang` is the language it opens in; the page can switch. `truth` adds how people found agree with known ones.
    `zone` is the IANA time zone of its days and months.
    """
    figures = read_figures(out_dir, zone)
    one_id = pick_customer(out_dir)
    pages: dict[str, Any] = {"first": lang}
    for each in LANGS:
        lines = [] if one_id is None else shorten(story(out_dir, one_id, each), _STORY_LINES, each)
        pages[each] = _page(figures, truth, lines, each)
    template = files("lake").joinpath("report_template.html").read_text(encoding="utf-8")
    plotly = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    head, middle, tail = _cut(template)
    # "<" could close the script element that the data stands in
    data = json.dumps(pages, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    report_path.parent.mkdir(parents=True, exist_ok=True)
    report_path.write_text(head + plotly + middle + data + tail, encoding="utf-8")


def _cut(template: str) -> tuple[str, str, str]:
    head, _, rest = template.partition("__PLOTLY__")
    middle, _, tail = rest.partition("__DATA__")
    return head, middle, tail


def _page(figures: Figures, truth: Agreement | None, lines: list[StoryLine], lang: Lang) -> dict[str, Any]:
    dates = word(PAGE, "range", lang).format(first=figures.first, last=figures.last) if figures.first else ""
    place = word(PAGE, "zone", lang).format(zone=figures.zone)
    return {
        "title": word(PAGE, "title", lang),
        "range": f"{dates} · {place}" if dates else place,
        "empty": word(PAGE, "empty", lang),
        "cards": _cards(figures, lang),
        "truthTitle": word(PAGE, "truth", lang),
        "truth": [] if truth is None else truth_cards(truth, lang),
        "charts": charts(figures, truth, lang),
        "storyTitle": word(PAGE, "story", lang),
        "story": [[local_time(line.at_ms, figures.zone), line.kind, line.text] for line in lines],
    }


def _cards(figures: Figures, lang: Lang) -> list[tuple[str, str]]:
    shown = []
    for name in CARDS:
        if name == "revenue":
            shown.append((f"{word(CARDS, name, lang)} ({figures.currency})", f"{figures.revenue:,.0f}"))
        elif name in figures.cards:
            shown.append((word(CARDS, name, lang), f"{figures.cards[name]:,}"))
    return shown


def truth_cards(truth: Agreement, lang: Lang) -> list[tuple[str, str]]:
    """Return the names and values of the comparison with the truth."""
    values = {
        "precision": f"{truth.precision:.2%}",
        "recall": f"{truth.recall:.2%}",
        "f1": f"{truth.f1:.3f}",
        "people": f"{truth.people_found:,} / {truth.people_true:,}",
        "exact": f"{truth.exact:,}",
    }
    return [(word(TRUTH, name, lang), value) for name, value in values.items()]


def local_time(at_ms: int, zone: str) -> str:
    """Write an instant as `2026-06-30 09:05` in a time zone."""
    return datetime.fromtimestamp(at_ms / 1000, time_zone(zone)).strftime("%Y-%m-%d %H:%M")
