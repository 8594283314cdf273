"""The charts of the answers, as Plotly figures in plain data."""

from datetime import date
from typing import Any

from lake.answers.answer import Answer
from lake.answers.shown import COMPLETE, MONTHS, Rows, named, shown
from lake.report_charts import AMBER, INDIGO, ROSE, SKY, SLATE, TEAL
from lake.report_words import SEGMENTS, Lang, segment_name

Figure = dict[str, Any]
Drawn = tuple[list[Figure], Figure]
"""Traces and layout."""

COLOURS = (INDIGO, TEAL, AMBER, ROSE, SKY, SLATE, "#a855f7", "#84cc16", "#fb923c", "#06b6d4", "#ec4899", "#64748b")
MOST_BARS = 25
"""Bars of a chart; the table has more."""

MOST_SERIES = 12
FEW_POINTS = 40
"""Up to so many points a line shows each of them."""


class Drawing:
    """Draws answers in one language; `scale` is how many minor units are one unit of the currency."""

    def __init__(self, scale: int, lang: Lang) -> None:
        self._scale = scale
        self._lang = lang

    def draw(self, answer: Answer, rows: Rows) -> Drawn:
        """Return the chart of an answer; without traces if there is nothing to draw."""
        kinds = {"heat": self._heat, "flow": self._flow, "grid": self._grid, "versus": self._versus}
        lines = [dict(zip(answer.columns, row, strict=True)) for row in rows]
        return kinds.get(answer.chart.kind, self._series)(answer, lines) if lines else ([], {})

    def _series(self, answer: Answer, lines: list[Figure]) -> Drawn:
        chart = answer.chart
        if chart.horizontal:
            lines = lines[MOST_BARS - 1 :: -1] if len(lines) > MOST_BARS else lines[::-1]
        found: dict[str, tuple[list[Any], list[Any]]] = {}
        for line in lines:
            for column in chart.y:
                name = answer.label(column, self._lang) if chart.by is None else self._name(line[chart.by], chart.by)
                xs, ys = found.setdefault(name, ([], []))
                xs.append(self._name(line[chart.x], chart.x))
                ys.append(line[column])
        found = {name: (xs, ys) for name, (xs, ys) in found.items() if any(y is not None for y in ys)}
        most = sorted(found, key=lambda name: -max(y for y in found[name][1] if y is not None))[:MOST_SERIES]
        data = []
        for number, name in enumerate(name for name in found if name in most):
            xs, ys = found[name]
            colour = COLOURS[number % len(COLOURS)]
            trace: Figure = {"name": name, "x": xs, "y": ys}
            if chart.kind == "line":
                trace |= {"type": "scatter", "mode": "lines+markers" if len(xs) < FEW_POINTS else "lines"}
                trace |= {"line": {"color": colour, "width": 1.8, "shape": "hv" if chart.by else "linear"}}
            else:
                trace |= {"type": "bar", "marker": {"color": colour}}
                if chart.horizontal:
                    trace |= {"orientation": "h", "x": ys, "y": xs}
            data.append(trace)
        barmode = "stack" if chart.kind == "stacked" else "group"
        layout: Figure = {"showlegend": len(data) > 1 or chart.by is not None, "barmode": barmode}
        layout["xaxis" if chart.horizontal else "yaxis"] = {"rangemode": "tozero"} | _shares(chart.percent)
        if chart.x in MONTHS:
            layout["xaxis"] = {"type": "date", "tickformat": "%Y-%m", "hoverformat": "%Y-%m"}
        elif chart.x == "day":
            layout["xaxis"] = {"type": "date", "tickformat": "%Y-%m-%d", "hoverformat": "%Y-%m-%d", "nticks": 8}
        elif chart.horizontal:
            layout["yaxis"] = {"type": "category"}
        else:
            layout["xaxis"] = {"type": "category"}
        return data, layout

    def _heat(self, answer: Answer, lines: list[Figure]) -> Drawn:
        chart = answer.chart
        by, value = chart.by or "", chart.y[0]
        xs = sorted({line[chart.x] for line in lines})
        ys = sorted({line[by] for line in lines}, reverse=True)
        cells = {(line[by], line[chart.x]): line for line in lines}
        places = [[cells.get((y, x)) for x in xs] for y in ys]
        tile: Figure = {
            "type": "heatmap",
            "x": xs,
            "y": [self._name(y, by) for y in ys],
            "z": [[None if line is None else line[value] for line in row] for row in places],
            "text": [[_tile(line, value) for line in row] for row in places],
            "texttemplate": "%{text}",
            "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
            "xgap": 2,
            "ygap": 2,
            "showscale": False,
            "hoverongaps": False,
            "zmin": 0,
            # where everybody starts at 100 per cent, that would leave no colours to the rest
            "zmax": max((line[value] for line in lines if line[chart.x] > 0), default=1) or 1,
            "colorscale": [[0, "rgba(99,102,241,.06)"], [1, "rgba(99,102,241,.75)"]],
        }
        axis: Figure = {"title": {"text": answer.label(chart.x, self._lang)}, "showgrid": False, "zeroline": False}
        if len(xs) <= FEW_POINTS:
            axis["dtick"] = 1
        return [tile], {"xaxis": axis, "yaxis": {"type": "category", "showgrid": False}, "height": 120 + 26 * len(ys)}

    def _flow(self, answer: Answer, lines: list[Figure]) -> Drawn:
        chart = answer.chart
        by, people = chart.by or "", chart.y[0]
        left = list(dict.fromkeys(line[chart.x] for line in lines))
        right = list(dict.fromkeys(line[by] for line in lines))
        known = list(dict.fromkeys((*left, *right)))
        sides = ([(name, chart.x) for name in left], [(name, by) for name in right])
        totals = [
            sum(line[people] for line in lines if line[column] == name) for name, column in (*sides[0], *sides[1])
        ]
        names = [self._name(name, column) for name, column in (*sides[0], *sides[1])]
        flow: Figure = {
            "type": "sankey",
            "arrangement": "fixed",
            "node": {
                "label": [f"{name} {total:,}" for name, total in zip(names, totals, strict=True)],
                "color": [COLOURS[known.index(name) % len(COLOURS)] for name in (*left, *right)],
                "pad": 14,
                "thickness": 14,
                "line": {"width": 0},
                "hovertemplate": "%{label}<extra></extra>",
            },
            "link": {
                "source": [left.index(line[chart.x]) for line in lines],
                "target": [len(left) + right.index(line[by]) for line in lines],
                "value": [line[people] for line in lines],
                "color": "rgba(148,163,184,.35)",
                "hovertemplate": "%{source.label} → %{target.label}: %{value:,}<extra></extra>",
            },
        }
        return [flow], {}

    def _grid(self, answer: Answer, lines: list[Figure]) -> Drawn:
        """Two columns, high and low recency; four rows, frequency and money."""
        people, money = answer.chart.y
        by_letters = {letters: segment for segment, (_, letters) in SEGMENTS.items()}
        counts: list[list[int]] = []
        texts: list[list[str]] = []
        for rest in ("HH", "LH", "HL", "LL"):
            segments = [by_letters[recency + rest] for recency in "HL"]
            own = [[line for line in lines if line[answer.chart.x] == segment] for segment in segments]
            counts.append([sum(line[people] for line in each) for each in own])
            texts.append(
                [
                    f"<b>{segment_name(segment, self._lang)}</b> {SEGMENTS[segment][1]}<br>"
                    f"{sum(line[people] for line in each):,} {answer.label(people, self._lang)} · "
                    f"{shown(sum(line[money] for line in each), money, self._scale, self._lang)}"
                    for segment, each in zip(segments, own, strict=True)
                ]
            )
        tile: Figure = {
            "type": "heatmap",
            "z": counts,
            "x": ["R high", "R low"],
            "text": texts,
            "texttemplate": "%{text}",
            "hovertemplate": "%{text}<extra></extra>",
            "xgap": 4,
            "ygap": 4,
            "showscale": False,
            "colorscale": [[0, "rgba(99,102,241,.10)"], [1, "rgba(99,102,241,.62)"]],
        }
        quiet = {"visible": False, "fixedrange": True}
        return [tile], {"xaxis": quiet, "yaxis": {**quiet, "autorange": "reversed"}}

    def _versus(self, answer: Answer, lines: list[Figure]) -> Drawn:
        """Two bars for each rule; beside the first the difference, beside the second its interval."""
        chart = answer.chart
        lines = lines[:MOST_BARS][::-1]
        notes = [
            [self._share(line, "difference") for line in lines],
            [
                "" if line["lowest"] is None else f"[{self._share(line, 'lowest')}, {self._share(line, 'highest')}]"
                for line in lines
            ],
        ]
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": answer.label(column, self._lang),
                "x": [line[column] for line in lines],
                "y": [self._name(line[chart.x], chart.x) for line in lines],
                "text": note,
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": colour},
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            }
            for column, colour, note in zip(chart.y, (TEAL, SLATE), notes, strict=True)
        ]
        # bars of a group stand from below upwards, and the first named is to be the upper one
        layout: Figure = {"barmode": "group", "showlegend": True, "legend": {"traceorder": "reversed"}}
        layout["xaxis"] = {"rangemode": "tozero"} | _shares(True)
        layout["yaxis"] = {"type": "category"}
        layout["height"] = 110 + 46 * len(lines)
        return data[::-1], layout

    def _share(self, line: Figure, column: str) -> str:
        return "" if line[column] is None else shown(line[column], column, self._scale, self._lang)

    def _name(self, value: Any, column: str) -> str:
        if isinstance(value, date):
            return value.isoformat()[:7] if column in MONTHS else value.isoformat()
        return named(str(value), column, self._lang)


def _tile(line: Figure | None, column: str) -> str:
    if line is None:
        return ""
    return f"{line[column]:.0%}" + ("*" if line.get(COMPLETE) is False else "")


def _shares(percent: bool) -> Figure:
    return {"tickformat": ".0%"} if percent else {}
