"""Charts of tiles: cohorts by months, and the eight RFM segments."""

from lake.answers.answer import Answer
from lake.answers.scene import FEW_POINTS, Drawn, Figure, Scene
from lake.answers.shown import COMPLETE, shown
from lake.report_charts import quadrants
from lake.report_words import PAGE, SEGMENTS, segment_name, word


def heat(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
    """Return tiles over two columns; a place without a row stays empty."""
    chart = answer.chart
    by, value = chart.by or "", chart.y[0]
    xs = sorted({line[chart.x] for line in lines})
    ys = sorted({line[by] for line in lines}, reverse=True)
    cells = {(line[by], line[chart.x]): line for line in lines}
    places = [[cells.get((y, x)) for x in xs] for y in ys]
    tile: Figure = {
        "type": "heatmap",
        "x": xs,
        "y": [scene.name(y, by) for y in ys],
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
    axis: Figure = {"title": {"text": answer.label(chart.x, scene.lang)}, "showgrid": False, "zeroline": False}
    if len(xs) <= FEW_POINTS:
        axis["dtick"] = 1
    return [tile], {"xaxis": axis, "yaxis": {"type": "category", "showgrid": False}, "height": 120 + 26 * len(ys)}


def grid(scene: Scene, answer: Answer, lines: list[Figure]) -> Drawn:
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
                f"<b>{segment_name(segment, scene.lang)}</b> {SEGMENTS[segment][1]}<br>"
                f"{sum(line[people] for line in each):,} {word(PAGE, 'people', scene.lang)} · "
                f"{shown(sum(line[money] for line in each), money, scene.scale, scene.lang)}"
                for segment, each in zip(segments, own, strict=True)
            ]
        )
    quiet = {"visible": False, "fixedrange": True}
    return [quadrants(counts, texts)], {"xaxis": quiet, "yaxis": {**quiet, "autorange": "reversed"}}


def _tile(line: Figure | None, column: str) -> str:
    if line is None:
        return ""
    return f"{line[column]:.0%}" + ("*" if line.get(COMPLETE) is False else "")
