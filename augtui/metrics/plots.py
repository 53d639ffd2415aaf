"""Figures as pictures: SVG text, drawn here; whoever wants PNG converts it (`augtui[plots]`)."""

from __future__ import annotations

from collections.abc import Iterator

from augtui.metrics import svg as drawing
from augtui.metrics.figures import Figure
from augtui.metrics.svg import INK, QUIET

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 64, 64
COLOURS = ("#2f6690", "#c77d2b", "#2f7d3b", "#9c4a6b", "#6b6f76")
GRID = "#e3e5e2"


def svg(figure: Figure) -> str:
    """Return a figure as an SVG document; text of the data in it is escaped."""
    parts = [
        drawing.text(LEFT, 30, figure.title, 18, INK),
        drawing.text(LEFT, 50, figure.note, 12, QUIET),
    ]
    if figure.is_empty:
        parts.append(drawing.text(WIDTH / 2, HEIGHT / 2, "nothing to show yet", 14, QUIET, "middle"))
    else:
        top = 100.0 if figure.percent else _rounded(max(max(series.values) for series in figure.series))
        parts += _axis(top)
        parts += _bars(figure, top) if figure.kind == "bars" else _lines(figure, top)
        parts += _legend(figure)
        parts.append(drawing.text(WIDTH - RIGHT, HEIGHT - 14, figure.x_label, 12, QUIET, "end"))
        parts.append(drawing.text(LEFT - 8, TOP - 8, figure.y_label, 12, QUIET, "end"))
    return drawing.document(WIDTH, HEIGHT, parts)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file. Raises ImportError without `augtui[plots]`."""
    return drawing.png(svg(figure))


def _axis(top: float) -> Iterator[str]:
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(top * share, top)
        yield f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>"
        yield drawing.text(LEFT - 8, y + 4, f"{top * share:,.4g}", 11, QUIET, "end")


def _bars(figure: Figure, top: float) -> Iterator[str]:
    room = (WIDTH - LEFT - RIGHT) / max(1, len(figure.labels))
    width = min(60.0, 0.8 * room / max(1, len(figure.series)))
    for place, label in enumerate(figure.labels):
        middle = LEFT + room * (place + 0.5)
        for number, series in enumerate(figure.series):
            x = middle + width * (number - len(figure.series) / 2)
            y, value = _y(series.values[place], top), series.values[place]
            yield (
                f"<rect x='{x:.1f}' y='{y:.1f}' width='{width - 2:.1f}' height='{HEIGHT - BOTTOM - y:.1f}'"
                f" fill='{COLOURS[number % len(COLOURS)]}'/>"
            )
            if value:
                yield drawing.text(x + width / 2 - 1, y - 4, f"{value:,.4g}", 10, QUIET, "middle")
        yield drawing.text(middle, HEIGHT - BOTTOM + 18, label, 12, INK, "middle", room=max(4, int(room / 7)))


def _lines(figure: Figure, top: float) -> Iterator[str]:
    first, last = figure.x[0], figure.x[-1]
    span = (last - first) or 1.0
    for number, series in enumerate(figure.series):
        points = " ".join(
            f"{LEFT + (WIDTH - LEFT - RIGHT) * (x - first) / span:.1f},{_y(value, top):.1f}"
            for x, value in zip(figure.x, series.values, strict=True)
        )
        colour = COLOURS[number % len(COLOURS)]
        yield f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2.2'/>"
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = LEFT + (WIDTH - LEFT - RIGHT) * share
        yield drawing.text(x, HEIGHT - BOTTOM + 18, f"{first + span * share:,.4g}", 11, QUIET, "middle")


def _legend(figure: Figure) -> Iterator[str]:
    if len(figure.series) < 2:
        return
    x = float(WIDTH - RIGHT)
    for number, series in reversed(list(enumerate(figure.series))):
        x -= 7.5 * len(series.name) + 30
        yield f"<rect x='{x:.0f}' y='22' width='11' height='11' fill='{COLOURS[number % len(COLOURS)]}'/>"
        yield drawing.text(x + 16, 32, series.name, 12, INK)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, top) / top


def _rounded(value: float) -> float:
    """Return the next number of the form 1, 2, 2.5 or 5 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
