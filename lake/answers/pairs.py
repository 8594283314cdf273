"""Charts that set two things side by side: before and now, treated and held out."""

from lake.answers.answer import Answer
from lake.answers.scene import COLOURS, MOST_BARS, Drawn, Figure, Scene, shares
from lake.answers.shown import shown
from lake.report_charts import SLATE, TEAL


def flow(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
    """Return the people who went from each place to each."""
    chart = answer.chart
    by, people = chart.by or "", chart.y[0]
    left = list(dict.fromkeys(line[chart.x] for line in lines))
    right = list(dict.fromkeys(line[by] for line in lines))
    known = list(dict.fromkeys((*left, *right)))
    sides = ([(name, chart.x) for name in left], [(name, by) for name in right])
    totals = [sum(line[people] for line in lines if line[column] == name) for name, column in (*sides[0], *sides[1])]
    names = [scene.name(name, column) for name, column in (*sides[0], *sides[1])]
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


def versus(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
    """Return two bars for each line, and beside the first the difference with its interval."""
    chart = answer.chart
    lines = lines[:MOST_BARS][::-1]
    names = [scene.name(line[chart.x], chart.x) for line in lines]
    # bars of a group stand from below upwards, and the first named is to be the upper one
    data: list[Figure] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": answer.label(column, scene.lang),
            "x": [line[column] for line in lines],
            "y": names,
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
        }
        for column, colour in zip(reversed(chart.y), (SLATE, TEAL), strict=True)
    ]
    data[-1] |= {"text": [_difference(scene, line) for line in lines], "textposition": "outside", "cliponaxis": False}
    longest = max((line[column] or 0 for line in lines for column in chart.y), default=0)
    # room for the text beside the longest bar
    axis = {"range": [0, (longest or 1) * 1.35]} | shares(True)
    layout: Figure = {"barmode": "group", "showlegend": True, "legend": {"traceorder": "reversed"}, "xaxis": axis}
    return data, layout | {"yaxis": {"type": "category"}, "height": 110 + 52 * len(lines)}


def _difference(scene: Scene, line: Figure) -> str:
    if line["difference"] is None:
        return ""
    told = [shown(line[column], column, scene.scale, scene.lang) for column in ("difference", "lowest", "highest")]
    return "{} [{}, {}]".format(*told)
