"""The charts of the answers, as Plotly figures in plain data."""

from typing import Any

from lake.answers.answer import Answer
from lake.answers.pairs import flow, versus
from lake.answers.scene import COLOURS, FEW_POINTS, MOST_BARS, MOST_SERIES, Drawn, Figure, Scene, shares
from lake.answers.shown import COMPLETE, MONTHS, SHARES, Rows
from lake.answers.tiles import grid, heat

ACROSS = 4
PALE = 0.4


def draw(scene: Scene, answer: Answer, rows: Rows) -> Drawn:
    """Return the chart of an answer; without traces if there is nothing to draw."""
    kinds = {"panels": _panels, "heat": heat, "flow": flow, "grid": grid, "versus": versus}
    lines = [dict(zip(answer.columns, row, strict=True)) for row in rows]
    return kinds.get(answer.chart.kind, _series)(scene, answer, lines) if lines else ([], {})


def _panels(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
    """At most four small charts in a row: counts and amounts as bars, shares and scores as lines."""
    chart = answer.chart
    known = [column for column in chart.y if any(line[column] is not None for line in lines)]
    across = min(len(known), ACROSS)
    down = -(-len(known) // across)
    xs = [scene.name(line[chart.x], chart.x) for line in lines]
    data: list[Figure] = []
    layout: Figure = {"grid": {"rows": down, "columns": across, "pattern": "independent", "ygap": 0.45, "xgap": 0.16}}
    layout |= {"showlegend": False, "height": 40 + 190 * down, "annotations": [], "margin": {"t": 34}}
    for place, column in enumerate(known):
        number = "" if place == 0 else str(place + 1)
        scale = scene.scale if column.endswith("_minor") else 1
        ys = [None if line[column] is None else line[column] / scale for line in lines]
        trace: Figure = {"x": xs, "y": ys, "xaxis": f"x{number}", "yaxis": f"y{number}"}
        colour = COLOURS[place % len(COLOURS)]
        if isinstance(lines[-1][column], int):
            trace |= {"type": "bar", "marker": _marker(lines, colour)}
        else:
            trace |= _line(lines, colour)
        form = ".0%" if column in SHARES else ",.1f" if trace["type"] == "scatter" else ",.0f"
        data.append(trace | {"hovertemplate": f"%{{x|%Y-%m}}: %{{y:{form}}}<extra></extra>"})
        layout[f"xaxis{number}"] = {"type": "date", "tickformat": "%Y-%m", "nticks": 4}
        layout[f"yaxis{number}"] = {"rangemode": "tozero", "nticks": 5} | shares(column in SHARES)
        layout["annotations"].append(
            {
                "text": f"<b>{answer.label(column, scene.lang)}</b>",
                "xref": f"x{number} domain",
                "yref": f"y{number} domain",
                "x": 0,
                "y": 1.06,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
    return data, layout


def _series(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
    """Bars or lines over one column."""
    chart = answer.chart
    if chart.horizontal:
        lines = lines[:MOST_BARS][::-1]
    found: dict[str, tuple[list[Figure], list[Any]]] = {}
    for line in lines:
        for column in chart.y:
            name = answer.label(column, scene.lang) if chart.by is None else scene.name(line[chart.by], chart.by)
            own, ys = found.setdefault(name, ([], []))
            own.append(line)
            ys.append(line[column])
    found = {name: (own, ys) for name, (own, ys) in found.items() if any(y is not None for y in ys)}
    most = sorted(found, key=lambda name: -max(y for y in found[name][1] if y is not None))[:MOST_SERIES]
    data = []
    for number, name in enumerate(name for name in found if name in most):
        own, ys = found[name]
        colour = COLOURS[number % len(COLOURS)]
        xs = [scene.name(line[chart.x], chart.x) for line in own]
        trace: Figure = {"name": name, "x": xs, "y": ys}
        if chart.kind == "line":
            trace |= _line(own, colour) | {"line": {"color": colour, "width": 1.8, "shape": "hv" if chart.by else None}}
        else:
            trace |= {"type": "bar", "marker": _marker(own, colour)}
            if chart.horizontal:
                trace |= {"orientation": "h", "x": ys, "y": xs}
            if len(found) == 1:
                form = ",.1f" if any(isinstance(y, float) for y in ys) else ",.0f"
                side = "x" if chart.horizontal else "y"
                trace |= {"texttemplate": f"%{{{side}:{form}}}", "textposition": "outside", "cliponaxis": False}
        data.append(trace)
    layout: Figure = {"showlegend": len(data) > 1 or chart.by is not None}
    layout["barmode"] = "stack" if chart.kind == "stacked" else "group"
    layout["xaxis" if chart.horizontal else "yaxis"] = {"rangemode": "tozero"} | shares(chart.percent)
    if chart.horizontal:
        layout |= {"yaxis": {"type": "category"}, "height": 90 + 24 * len(lines)}
    elif chart.x in MONTHS:
        layout["xaxis"] = {"type": "date", "tickformat": "%Y-%m", "hoverformat": "%Y-%m"}
        if len({line[chart.x] for line in lines}) < FEW_POINTS:
            layout["xaxis"] |= {"nticks": 12}
    elif chart.x == "day":
        layout["xaxis"] = {"type": "date", "tickformat": "%Y-%m-%d", "hoverformat": "%Y-%m-%d", "nticks": 8}
        layout["height"] = 400
    else:
        layout["xaxis"] = {"type": "category"}
    return data, layout


def _line(lines: list[Figure], colour: str) -> Figure:
    mode = "lines+markers" if len(lines) < FEW_POINTS else "lines"
    return {"type": "scatter", "mode": mode, "line": {"color": colour, "width": 1.8}, "marker": _marker(lines, colour)}


def _marker(lines: list[Figure], colour: str) -> Figure:
    """A month that is not over is pale."""
    return {"color": colour, "opacity": [PALE if line.get(COMPLETE) is False else 1 for line in lines]}
