"""The report's charts, as Plotly figures in plain data, once per language."""

from collections.abc import Mapping
from typing import Any, Protocol

from lake.report_data import Figures
from lake.report_words import (
    CHANGES,
    CHARTS,
    OUTCOMES,
    PAGE,
    REASONS,
    SEGMENTS,
    Both,
    Lang,
    segment_name,
    stage_name,
    word,
)
from lake.story import rule_title

# Middle tones, which stand out from a white page as well as from a black one.
INDIGO, TEAL, AMBER, ROSE, SKY, SLATE = "#6366f1", "#14b8a6", "#f59e0b", "#f43f5e", "#0ea5e9", "#94a3b8"
_OUTCOME_COLOURS = {
    "fired": TEAL,
    "held_out": SKY,
    "suppressed consent": AMBER,
    "suppressed cap": "#fb923c",
    "expired": SLATE,
}
_CHANGE_COLOURS = {"merged": INDIGO, "split": AMBER, "refused": ROSE, "hub": SKY}
_STAGE_COLOURS = (SLATE, SKY, TEAL, INDIGO, AMBER, ROSE)
Figure = dict[str, Any]


class Agreement(Protocol):
    """How people found agree with known true ones: pairwise precision, recall and F1, and counts of people."""

    @property
    def precision(self) -> float: ...  # noqa: D102
    @property
    def recall(self) -> float: ...  # noqa: D102
    @property
    def f1(self) -> float: ...  # noqa: D102
    @property
    def people_found(self) -> int: ...  # noqa: D102
    @property
    def people_true(self) -> int: ...  # noqa: D102
    @property
    def exact(self) -> int: ...  # noqa: D102
    @property
    def found_sizes(self) -> Mapping[int, int]: ...  # noqa: D102
    @property
    def true_sizes(self) -> Mapping[int, int]: ...  # noqa: D102


def charts(figures: Figures, truth: Agreement | None, lang: Lang) -> list[Figure]:
    """Return the charts in the order of the page: id, title, note, and Plotly's data and layout."""
    money = figures.currency
    made: list[Figure] = [
        _chart("activity", lang, [_line(figures.activity, word(PAGE, "events", lang))], {"xaxis": _dates()}, wide=True),
        _chart("rfm", lang, [_rfm(figures, lang)], {"xaxis": _quiet(), "yaxis": _quiet(autorange="reversed")}),
        _lifecycle(figures, lang),
        _chart(
            "orders",
            lang,
            [
                _bar(figures.orders.get(kind, {}), word(PAGE, kind, lang), colour)
                for kind, colour in (("paid", INDIGO), ("refunded", AMBER), ("cancelled", ROSE))
            ],
            {"barmode": "group", "xaxis": _dates("%Y-%m")},
        ),
        _chart(
            "cohorts",
            lang,
            [_bar(figures.cohorts, f"{word(PAGE, 'revenue', lang)} ({money})", TEAL)],
            {"xaxis": _dates("%Y-%m"), "yaxis": {"title": {"text": money}}},
        ),
        _rules(figures, lang),
        _stacked("triggers", lang, figures.triggers, OUTCOMES, _OUTCOME_COLOURS),
        _stacked("changes", lang, figures.changes, CHANGES, _CHANGE_COLOURS),
    ]
    # the grid has two columns: whatever is left alone in a row takes both
    deadletters = _deadletters(figures, lang)
    if truth is None:
        return [*made, deadletters | {"wide": True}]
    made.insert(1, _truth(truth, lang))
    made.insert(6, deadletters)
    return made


def _chart(name: str, lang: Lang, data: list[Figure], layout: Figure | None = None, wide: bool = False) -> Figure:
    title, note = CHARTS[name][lang]
    empty = not any(trace.get("x") or trace.get("z") for trace in data)
    return {
        "id": name,
        "title": title,
        "note": note,
        "wide": wide,
        "empty": empty,
        "data": data,
        "layout": {"showlegend": len(data) > 1, **(layout or {})},
    }


def _quiet(**more: Any) -> Figure:
    return {"visible": False, "fixedrange": True, **more}


def _dates(hover: str = "%Y-%m-%d") -> Figure:
    return {"type": "date", "tickformat": "%Y-%m", "hoverformat": hover}


def _bar(values: dict[str, Any], name: str, colour: str) -> Figure:
    return {
        "type": "bar",
        "x": list(values),
        "y": list(values.values()),
        "name": name,
        "marker": {"color": colour},
        "hovertemplate": "%{x}<br>%{y:,}<extra>" + name + "</extra>",
    }


def _line(values: dict[str, int], name: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(values),
        "y": list(values.values()),
        "name": name,
        "line": {"color": INDIGO, "width": 1.6},
        "fill": "tozeroy",
        "fillcolor": "rgba(99,102,241,.14)",
        "hovertemplate": "%{x}<br>%{y:,}<extra></extra>",
    }


def _rfm(figures: Figures, lang: Lang) -> Figure:
    """Two columns, high and low recency; four rows, frequency and money."""
    by_letters = {letters: segment for segment, (_, letters) in SEGMENTS.items()}
    people: list[list[int]] = []
    texts: list[list[str]] = []
    for frequency, money in ("HH", "LH", "HL", "LL"):
        segments = [by_letters[recency + frequency + money] for recency in "HL"]
        people.append([figures.rfm[segment][0] for segment in segments])
        texts.append(
            [
                f"<b>{segment_name(segment, lang)}</b> {SEGMENTS[segment][1]}<br>{figures.rfm[segment][0]:,} "
                f"{word(PAGE, 'people', lang)} · {figures.rfm[segment][1]:,.0f} {figures.currency}"
                for segment in segments
            ]
        )
    return quadrants(people, texts)


def quadrants(people: list[list[int]], texts: list[list[str]]) -> Figure:
    """Return the RFM segments as tiles, the recent ones left; `texts` stand in them."""
    return {
        "type": "heatmap",
        "z": people,
        "x": ["R high", "R low"],
        "text": texts,
        "texttemplate": "%{text}",
        "hovertemplate": "%{text}<extra></extra>",
        "xgap": 4,
        "ygap": 4,
        "showscale": False,
        "colorscale": [[0, "rgba(99,102,241,.10)"], [1, "rgba(99,102,241,.62)"]],
    }


def _lifecycle(figures: Figures, lang: Lang) -> Figure:
    bar = _bar({stage_name(stage, lang): count for stage, count in figures.lifecycle.items()}, "", INDIGO)
    bar["marker"] = {"color": [_STAGE_COLOURS[place % 6] for place in range(len(figures.lifecycle))]}
    bar |= {"text": list(figures.lifecycle.values()), "texttemplate": "%{text:,}", "textposition": "outside"}
    bar["cliponaxis"] = False
    return _chart("lifecycle", lang, [bar])


def _rules(figures: Figures, lang: Lang) -> Figure:
    order = list(dict.fromkeys(rule for counts in figures.rules.values() for rule in counts))
    totals = {rule: sum(counts.get(rule, 0) for counts in figures.rules.values()) for rule in order}
    order.sort(key=lambda rule: (totals[rule], rule))
    labels = {rule: rule if lang == "en" else rule_title(rule, lang) for rule in order}
    data = []
    for outcome in [key for key in OUTCOMES if key in figures.rules] + sorted(figures.rules.keys() - OUTCOMES.keys()):
        bar = _bar(figures.rules[outcome], word(OUTCOMES, outcome, lang), _OUTCOME_COLOURS.get(outcome, SLATE))
        bar.update(orientation="h", x=bar["y"], y=[labels[rule] for rule in bar["x"]])
        bar["hovertemplate"] = "%{y}<br>%{x:,}<extra>" + bar["name"] + "</extra>"
        data.append(bar)
    axis = {"categoryorder": "array", "categoryarray": list(labels.values()), "automargin": True}
    return _chart("rules", lang, data, {"barmode": "stack", "yaxis": axis, "showlegend": True}, wide=True)


def _stacked(
    name: str, lang: Lang, series: dict[str, dict[str, int]], names: dict[str, Both], colours: dict[str, str]
) -> Figure:
    keys = [key for key in names if key in series] + sorted(series.keys() - names.keys())
    data = [_bar(series[key], word(names, key, lang), colours.get(key, SLATE)) for key in keys]
    return _chart(name, lang, data, {"barmode": "stack", "showlegend": True, "xaxis": _dates()})


def _deadletters(figures: Figures, lang: Lang) -> Figure:
    named = {word(REASONS, reason, lang): count for reason, count in reversed(figures.deadletters.items())}
    bar = _bar(named, "", ROSE)
    bar.update(orientation="h", x=bar["y"], y=bar["x"], text=bar["y"], textposition="outside", cliponaxis=False)
    bar["hovertemplate"] = "%{y}: %{x:,}<extra></extra>"
    return _chart("deadletters", lang, [bar], {"yaxis": {"automargin": True}})


def _truth(truth: Agreement, lang: Lang) -> Figure:
    top = 12

    def folded(sizes: Mapping[int, int]) -> dict[str, int]:
        counts = {str(size): sizes.get(size, 0) for size in range(1, top)}
        counts[f"{top}+"] = sum(count for size, count in sizes.items() if size >= top)
        return counts

    data = [
        _bar(folded(truth.true_sizes), word(PAGE, "true", lang), SLATE),
        _bar(folded(truth.found_sizes), word(PAGE, "found", lang), INDIGO),
    ]
    axis = {"type": "category", "title": {"text": word(PAGE, "identifiers", lang)}}
    return _chart("truth", lang, data, {"barmode": "group", "xaxis": axis})
