"""The report in HTML: one file that opens anywhere, offline, in two languages, each answer with chart and table."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from lake.answers.answer import Answer, Words, pick
from lake.answers.figures import draw
from lake.answers.opened import Opened
from lake.answers.scene import Scene
from lake.answers.shown import COMPLETE, MONTHS, Rows, named, shown, shown_columns, shown_row
from lake.report_words import LANGS, Lang

Section = dict[str, Any]

MOST_ROWS = 300
"""Rows of a table on the page."""

WORDS: dict[str, Words] = {
    "title": ("Kith report", "Kith 报告"),
    "as_of": ("As of {as_of} ({zone}), money in {currency}", "截至 {as_of}（{zone}），金额单位 {currency}"),
    "before": ("compared with {before}", "对比 {before}"),
    "nobody": ("Nobody is known yet", "尚无客户"),
    "table": ("Table", "数据表"),
    "first": ("the first {shown} of {all} rows", "前 {shown} 行，共 {all} 行"),
    "last": ("the last {shown} of {all} rows", "后 {shown} 行，共 {all} 行"),
    "lacking": ("Not in this report", "未包含的报表"),
    "running": ("* The month is not over", "* 该月尚未结束"),
    "pale": ("Pale: the month is not over.", "浅色表示该月尚未结束。"),
}


def about(found: Opened, lang: Lang) -> str:
    """Return what the report is about: as of when, compared with when, which currency."""
    as_of, before = found.local(found.as_of), found.local(found.before)
    if as_of is None:
        return pick(WORDS["nobody"], lang)
    told = [
        pick(WORDS["as_of"], lang).format(as_of=f"{as_of:%Y-%m-%d %H:%M}", zone=found.zone, currency=found.currency)
    ]
    if before is not None:
        told.append(pick(WORDS["before"], lang).format(before=f"{before:%Y-%m-%d %H:%M}"))
    return " · ".join(told)


def write_page(path: Path, found: Opened, answers: Mapping[Answer, Rows], lang: Lang = "en") -> None:
    """Write the report of some answers and their rows; `lang` is the language it opens in."""
    pages: dict[str, Any] = {"first": lang}
    for each in LANGS:
        pages[each] = _page(found, answers, each)
    template = files("lake").joinpath("report_template.html").read_text(encoding="utf-8")
    plotly = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    head, _, rest = template.partition("__PLOTLY__")
    middle, _, tail = rest.partition("__DATA__")
    # "<" could close the script element that the data stands in
    data = json.dumps(pages, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + plotly + middle + data + tail, encoding="utf-8")


def _page(found: Opened, answers: Mapping[Answer, Rows], lang: Lang) -> Section:
    lacking = [f"{pick(answer.title, lang)}: {pick(reason, lang)}" for answer, reason in found.why_not.items()]
    return {
        "title": pick(WORDS["title"], lang),
        "range": about(found, lang),
        "empty": "",
        "cards": _cards(answers, found.scale, lang),
        "truth": [],
        "charts": [_section(answer, rows, found.scale, lang) for answer, rows in answers.items()],
        "story": [["", "lacking", text] for text in lacking],
        "storyTitle": pick(WORDS["lacking"], lang),
    }


def _cards(answers: Mapping[Answer, Rows], scale: int, lang: Lang) -> list[tuple[str, str]]:
    """Return the key figures of the newest month that is over, of the running one if there is no other; the tiers."""
    cards = []
    for answer, rows in answers.items():
        if answer.name == "kpi" and rows:
            lines = [dict(zip(answer.columns, row, strict=True)) for row in rows]
            line = ([each for each in lines if each[COMPLETE]] or lines)[-1]
            for column in shown_columns(answer)[1:]:
                if line[column] is not None:
                    text = shown(line[column], column, scale, lang)
                    cards.append((f"{answer.label(column, lang)} · {line['month']:%Y-%m}", text))
        elif answer.name == "tiers" and rows:
            texts = [f"{named(tier, 'tier', lang)} {people:,}" for tier, people, *_ in rows if tier != "none"]
            cards.append((pick(answer.title, lang), " · ".join(texts) or "–"))
    return cards


def _section(answer: Answer, rows: Rows, scale: int, lang: Lang) -> Section:
    data, layout = draw(Scene(scale, lang), answer, rows)
    cut = "last" if answer.chart.x in ("month", "cohort", "day") else "first"
    kept = rows[-MOST_ROWS:] if cut == "last" else rows[:MOST_ROWS]
    told = [pick(WORDS["table"], lang)]
    if len(kept) < len(rows):
        told.append(pick(WORDS[cut], lang).format(shown=len(kept), all=f"{len(rows):,}"))
    texts = [shown_row(answer, row, scale, lang) for row in kept]
    if any(text.endswith("*") for row in texts for text in row):
        told.append(pick(WORDS["running"], lang))
    return {
        "id": answer.name,
        "title": pick(answer.title, lang),
        "note": f"{pick(answer.note, lang)} {pick(WORDS['pale'], lang) if _has_pale(answer, rows) else ''}".strip(),
        "wide": answer.wide,
        "empty": not data,
        "why": pick(answer.empty, lang),
        "data": data,
        "layout": layout,
        "table": {
            "title": " · ".join(told),
            "columns": [answer.label(column, lang) for column in shown_columns(answer)],
            "rows": texts,
        },
    }


def _has_pale(answer: Answer, rows: Rows) -> bool:
    return answer.chart.x in MONTHS and COMPLETE in answer.columns and any(row[-1] is False for row in rows)
