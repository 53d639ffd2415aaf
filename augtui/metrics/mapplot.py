"""The map of a project as a picture: SVG text, or PNG with `augtui[plots]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from augtui.metrics import clusters as metrics
from augtui.metrics import svg as drawing
from augtui.metrics.clusters import Figures
from augtui.metrics.svg import INK, QUIET
from augtui.store import maps, pruning
from augtui.store.projects import Project

WIDTH, HEIGHT = 1240, 820
LEFT, TOP, SIDE = 20, 70, 730
"""The square that the points are in, pixels."""
STRETCH = 1.5
"""How much the shorter side may be stretched to fill the square: the axes mean nothing."""
LEGEND = 790
LISTED = 32
DRAWN = 200_000
COLOURS = (
    "#2f6690", "#c77d2b", "#2f7d3b", "#b3372c", "#6b4a9c", "#1d8f8c", "#a39400", "#b34a80", "#6f9430", "#4f60c4",
    "#8d6238", "#3f9a6b",
)  # fmt: skip
GREY = "#b9bec4"


@dataclass(frozen=True, slots=True)
class Picture:
    """A level of the map."""

    title: str
    note: str
    listed: tuple[Figures, ...]
    """The clusters that are told apart, the largest first."""
    points: tuple[tuple[int, float, float], ...]
    """(place in `listed`, or -1 for a rejected record; x; y)."""

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to draw."""
        return not self.points


def picture(project: Project, path: str | None = None) -> Picture:
    """Return the first level of the map, or what is inside of a cluster. Raises UsageError for an unknown cluster."""
    state = maps.state(project)
    listed = metrics.figures(project)
    if state is None or not listed:
        return Picture("Map", "", (), ())
    parent = None if path is None else maps.find(project, path)
    number = None if parent is None else parent.number
    level = metrics.ordered([one for one in listed if one.cluster.parent == number], "size", all_levels=True)
    if not level and parent is not None:
        level = [listed[parent.number]]
    place_of = {
        inner: place for place, one in enumerate(level) for inner in range(one.cluster.number, one.cluster.last + 1)
    }
    points = tuple(
        (-1 if gone else place_of[cluster], x, y)
        for cluster, x, y, gone in maps.places(project, pruning.REJECTED, DRAWN)
        if cluster in place_of
    )
    size = state.records if parent is None else parent.size
    title = "Map of the records" if parent is None else f"Cluster {parent.path}: {parent.name}"
    later = maps.fresh(project, state)
    note = f"{size:,} records in {len(level)} clusters, alike by {state.likeness}"
    return Picture(title, note + (f"; {later:,} later ones are not in it" if later else ""), tuple(level), points)


def svg(shown: Picture) -> str:
    """Return the picture as an SVG document; text of the data in it is escaped."""
    parts = [
        drawing.text(LEFT, 32, shown.title, 20, INK),
        drawing.text(LEFT, 54, shown.note, 13, QUIET),
    ]
    if shown.is_empty:
        parts.append(
            drawing.text(WIDTH / 2, HEIGHT / 2, "nothing to show yet: augtui clusters map", 14, QUIET, "middle")
        )
    else:
        places = _placed(shown)
        parts += _dots(shown, places)
        parts += _labels(shown, places)
        parts += _legend(shown)
    return drawing.document(WIDTH, HEIGHT, parts)


def png(shown: Picture) -> bytes:
    """Return the picture as a PNG file. Raises ImportError without `augtui[plots]`."""
    return drawing.png(svg(shown))


def _placed(shown: Picture) -> tuple[float, float, float, float]:
    """Return the left and the upper bound of the points, and the pixels of a unit across and down."""
    xs, ys = sorted(point[1] for point in shown.points), sorted(point[2] for point in shown.points)
    cut = len(xs) // 500
    wide, high = xs[-1 - cut] - xs[cut], ys[-1 - cut] - ys[cut]
    widest = max(wide, high, 1e-3)
    wide, high = (1.04 * max(span, widest / STRETCH) for span in (wide, high))
    middle_x, middle_y = (xs[cut] + xs[-1 - cut]) / 2, (ys[cut] + ys[-1 - cut]) / 2
    return middle_x - wide / 2, middle_y + high / 2, SIDE / wide, SIDE / high


def _spot(x: float, y: float, places: tuple[float, float, float, float]) -> tuple[float, float]:
    left, top, across, down = places
    return LEFT + (x - left) * across, TOP + (top - y) * down


def _is_seen(column: float, line: float) -> bool:
    return LEFT <= column <= LEFT + SIDE and TOP <= line <= TOP + SIDE


def _dots(shown: Picture, places: tuple[float, float, float, float]) -> Iterator[str]:
    groups: dict[int, set[str]] = {}
    for group, x, y in shown.points:
        column, line = _spot(x, y, places)
        if _is_seen(column, line):
            groups.setdefault(group, set()).add(f"M{column:.1f} {line:.1f}h0")
    width = 2.0 if len(shown.points) > 10_000 else 3.0 if len(shown.points) > 1_000 else 6.0
    for group in sorted(groups):
        colour = GREY if group < 0 else COLOURS[group % len(COLOURS)]
        yield (
            f"<path d='{''.join(sorted(groups[group]))}' fill='none' stroke='{colour}' stroke-width='{width}'"
            " stroke-linecap='round' stroke-opacity='0.7'/>"
        )


def _labels(shown: Picture, places: tuple[float, float, float, float]) -> Iterator[str]:
    for place, one in enumerate(shown.listed):
        x, y = _spot(one.cluster.x, one.cluster.y, places)
        x, y = min(max(x, LEFT), LEFT + SIDE), min(max(y, TOP), TOP + SIDE)
        colour = COLOURS[place % len(COLOURS)]
        label = one.cluster.path.rpartition(".")[2]
        yield f"<circle cx='{x:.1f}' cy='{y:.1f}' r='12' fill='#ffffff' stroke='{colour}' stroke-width='2'/>"
        yield drawing.text(x, y + 4.5, label, 13, INK, "middle", "bold")


def _legend(shown: Picture) -> Iterator[str]:
    for place, one in enumerate(shown.listed[:LISTED]):
        y = TOP + 22 * place + 8
        yield f"<circle cx='{LEGEND}' cy='{y}' r='6' fill='{COLOURS[place % len(COLOURS)]}'/>"
        yield drawing.text(LEGEND + 36, y + 4.5, one.cluster.path.rpartition(".")[2], 13, INK, "end", "bold")
        yield drawing.text(LEGEND + 46, y + 4.5, one.cluster.name, 13, INK, room=44)
        yield drawing.text(WIDTH - 16, y + 4.5, f"{one.cluster.size:,}", 12, QUIET, "end")
    more: Sequence[Figures] = shown.listed[LISTED:]
    if more:
        yield drawing.text(LEGEND + 46, TOP + 22 * LISTED + 12, f"and {len(more)} more", 12, QUIET)
