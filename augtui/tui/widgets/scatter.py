"""Points in cells: a scatter of clusters in braille dots, or in letters where there are no colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from augtui.domain.visible import excerpt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""One for each cluster; more clusters begin again."""
DARK = (
    "#7aa2c7", "#e0b074", "#8dbf8b", "#d98880", "#b79ad6", "#6fc3c0", "#d7cf6f", "#d593b8", "#9fb86b", "#8f9fe0",
    "#c99a6b", "#7fc79a",
)  # fmt: skip
LIGHT = (
    "#2f6690", "#9a5b13", "#2f7d3b", "#b3372c", "#6b4a9c", "#1d7a78", "#7a7000", "#9c3a6b", "#55741d", "#3f4fb0",
    "#7d5230", "#1f7a4a",
)  # fmt: skip
OUTLIERS, MANY = 0.01, 300
"""Of so many points this share may be out of the picture on each side."""
FAR = 1.5
"""So many distances between the quartiles beyond these a point is far out, where no larger share than `FEW` is."""
FEW = 0.025
STRETCH = 1.8
"""How much wider or higher than it is a map may be drawn to fill its room."""
QUIET = 0.55
"""How much of its colour a cluster keeps that the cursor does not stand on."""
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of the dots of a braille character, by line and column."""


def sign(place: int) -> str:
    """Return the sign of the cluster at a place of the list."""
    return SIGNS[place % len(SIGNS)]


@dataclass(slots=True)
class Cloud:
    """What is drawn: points in groups, and where the names of the groups stand."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    group: NDArray[np.int32]
    """Place of each point's cluster in `names`; -1 is drawn quietly."""
    names: Sequence[str]
    centres: Sequence[tuple[float, float]]


@dataclass(slots=True)
class Raster:
    """A cloud in cells: the dots of each, and the group that has most of its points."""

    dots: NDArray[np.uint8]
    most: NDArray[np.int32]
    """Shape (height, width); -1 where no group has a point."""
    cells: NDArray[np.int64]
    """Of each point; -1 for one that is out of the picture."""
    centres: list[tuple[int, int]]
    """Column and line of each group's centre."""


def raster(cloud: Cloud, width: int, height: int) -> Raster:
    """Return a cloud in `width` × `height` cells of 2 × 4 dots each."""
    import numpy as np

    bounds = _bounds(cloud)
    across, down = 2 * width - 1, 4 * height - 1
    scale_x, scale_y = across / (bounds[1] - bounds[0]), down / (bounds[3] - bounds[2])
    scale_x, scale_y = min(scale_x, STRETCH * scale_y), min(scale_y, STRETCH * scale_x)

    def columns(x: Any) -> Any:
        return np.rint((x - (bounds[0] + bounds[1]) / 2) * scale_x + across / 2).astype(np.int64)

    def lines(y: Any) -> Any:
        return np.rint(((bounds[2] + bounds[3]) / 2 - y) * scale_y + down / 2).astype(np.int64)

    column, line = columns(cloud.x), lines(cloud.y)
    seen = (column >= 0) & (column <= across) & (line >= 0) & (line <= down)
    cells = np.where(seen, (line // 4) * width + column // 2, -1)
    dots = np.zeros(width * height, dtype=np.uint8)
    np.bitwise_or.at(dots, cells[seen], np.array(BITS, dtype=np.uint8)[line[seen] % 4, column[seen] % 2])
    groups = len(cloud.names)
    most = np.full(width * height, -1, dtype=np.int32)
    named = seen & (cloud.group >= 0)
    if groups and named.any():
        counts = np.bincount(cells[named] * groups + cloud.group[named], minlength=width * height * groups)
        counts = counts.reshape(-1, groups)
        most = np.where(counts.any(axis=1), counts.argmax(axis=1), -1).astype(np.int32)
    spots = np.array(cloud.centres, dtype=np.float32).reshape(-1, 2)
    middle = zip(
        np.clip(columns(spots[:, 0]) // 2, 0, width - 1).tolist(),
        np.clip(lines(spots[:, 1]) // 4, 0, height - 1).tolist(),
        strict=True,
    )
    return Raster(dots.reshape(height, width), most.reshape(height, width), cells, list(middle))


def _bounds(cloud: Cloud) -> tuple[float, float, float, float]:
    """Return left, right, lower and upper bound; of many points those far out are left out. None is empty."""
    import numpy as np

    if not len(cloud.x):
        return -1.0, 1.0, -1.0, 1.0
    found: list[float] = []
    out = OUTLIERS if len(cloud.x) >= MANY else 0.0
    for values in (cloud.x, cloud.y):
        low, lower, upper, high = (float(value) for value in np.quantile(values, (out, 0.25, 0.75, 1 - out)))
        if out:  # a few records that are all the same lie far out together, and shift a quantile to where they are
            least, most = lower - FAR * (upper - lower), upper + FAR * (upper - lower)
            low = max(low, least) if (values < least).mean() <= FEW else low
            high = min(high, most) if (values > most).mean() <= FEW else high
        room = max((high - low) * 0.04, 1e-4)
        found += [low - room, high + room]
    return found[0], found[1], found[2], found[3]


class Scatter(Widget, can_focus=True):
    """Draws a cloud; the arrow keys and the mouse go from cluster to cluster."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(0, -1)", "Up", show=False, id="map.up"),
        Binding("down", "go(0, 1)", "Down", show=False, id="map.down"),
        Binding("left", "go(-1, 0)", "Left", show=False, id="map.left"),
        Binding("right", "go(1, 0)", "Right", show=False, id="map.right"),
        Binding("j", "step(1)", "Next cluster", show=False, id="map.next"),
        Binding("k", "step(-1)", "Cluster before", show=False, id="map.before"),
    ]

    class Chosen(Message):
        """The cursor goes to another cluster; `entered` if it is to be entered, too."""

        def __init__(self, place: int, entered: bool = False) -> None:
            """Carry the cluster's place."""
            super().__init__()
            self.place = place
            self.entered = entered

    def __init__(self, *, id: str | None = None) -> None:
        """Show nothing yet."""
        super().__init__(id=id)
        self._cloud: Cloud | None = None
        self._raster: Raster | None = None
        self._drawn = (0, 0)
        self._own: NDArray[np.uint8] | None = None
        self.chosen = -1
        self.letters = False
        """Whether a letter stands for each cluster; without colours it always does."""

    def show(self, cloud: Cloud, chosen: int) -> None:
        """Draw another cloud."""
        self._cloud, self._raster = cloud, None
        self.choose(chosen)

    def choose(self, place: int) -> None:
        """Put the cursor on a cluster."""
        self.chosen, self._own = place, None
        self.refresh()

    @property
    def uses_letters(self) -> bool:
        """Say whether letters are drawn in place of dots."""
        return self.letters or self.app.no_color or self.app.theme == "augtui-plain"

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture."""
        width, height = self.size
        base = self.rich_style
        if self._cloud is None or not len(self._cloud.x) or width < 2 or height < 1:
            return Strip([Segment(" " * width, base)], width)
        if self._raster is None or self._drawn != (width, height):
            self._raster, self._drawn, self._own = raster(self._cloud, width, height), (width, height), None
        if self._own is None:
            self._own = self._of_chosen(self._raster, width, height)
        found = self._raster
        dots, most, own = found.dots[y].tolist(), found.most[y].tolist(), self._own[y].tolist()
        cells: list[tuple[str, Style]] = []
        for column in range(width):
            if not dots[column]:
                cells.append((" ", base))
                continue
            group = self.chosen if own[column] else most[column]
            text = sign(group) if self.uses_letters and group >= 0 else chr(0x2800 + dots[column])
            if self.uses_letters and group < 0:
                text = "·"
            cells.append((text, self._style(group, bool(own[column]))))
        self._write_names(cells, y, found)
        return Strip([Segment(text, style) for text, style in cells]).simplify().adjust_cell_length(width, base)

    def action_go(self, right: int, down: int) -> None:
        """Go to the nearest cluster in a direction."""
        if self._raster is None or not self._raster.centres:
            return
        places = [(column, 2 * line) for column, line in self._raster.centres]
        if not 0 <= self.chosen < len(places):
            self.post_message(self.Chosen(0))
            return
        column, line = places[self.chosen]
        best, least = -1, float("inf")
        for place, (other_column, other_line) in enumerate(places):
            along = (other_column - column) * right + (other_line - line) * down
            aside = abs((other_column - column) * down) + abs((other_line - line) * right)
            if along > 0 and along + 2 * aside < least:
                best, least = place, along + 2 * aside
        if best >= 0:
            self.post_message(self.Chosen(best))

    def action_step(self, by: int) -> None:
        """Go to the next cluster of the list."""
        if self._cloud is not None and self._cloud.names:
            self.post_message(self.Chosen((self.chosen + by) % len(self._cloud.names)))

    def on_click(self, event: events.Click) -> None:
        """Go to the cluster whose points are nearest to the click; enter it the second time."""
        offset = event.get_content_offset(self)
        place = None if offset is None else self.cluster_at(offset.x, offset.y)
        if place is not None:
            self.post_message(self.Chosen(place, entered=event.chain == 2))

    def cluster_at(self, column: int, line: int) -> int | None:
        """Return the cluster that is drawn nearest to a cell, None where nothing is drawn."""
        import numpy as np

        if self._raster is None:
            return None
        lines, columns = np.nonzero(self._raster.most >= 0)
        if not len(lines):
            return None
        nearest = int(np.argmin((columns - column) ** 2 + (2 * (lines - line)) ** 2))
        return int(self._raster.most[lines[nearest], columns[nearest]])

    def _of_chosen(self, found: Raster, width: int, height: int) -> Any:
        import numpy as np

        assert self._cloud is not None
        own = np.zeros(width * height, dtype=np.uint8)
        own[found.cells[(self._cloud.group == self.chosen) & (found.cells >= 0)]] = 1
        return own.reshape(height, width)

    def _style(self, group: int, is_chosen: bool) -> Style:
        background = self.background_colors[1]
        if group < 0:
            return Style(color=background.blend(self.styles.color, 0.35).rich_color, bgcolor=background.rich_color)
        if self.uses_letters:
            colour = self.styles.color if is_chosen else background.blend(self.styles.color, 0.6)
            return Style(color=colour.rich_color, bgcolor=background.rich_color, bold=is_chosen, reverse=is_chosen)
        colour = self.colour(group)
        if self.chosen >= 0 and not is_chosen:
            colour = background.blend(colour, QUIET)
        return Style(color=colour.rich_color, bgcolor=background.rich_color, bold=is_chosen)

    def colour(self, group: int) -> Color:
        """Return the colour of a cluster by its place."""
        palette = DARK if self.app.current_theme.dark else LIGHT
        return Color.parse(palette[group % len(palette)])

    def _write_names(self, cells: list[tuple[str, Style]], y: int, found: Raster) -> None:
        """Write the signs of clusters at their centres, and the name of the chosen one."""
        assert self._cloud is not None
        background = self.background_colors[1]
        for place, (column, line) in enumerate(found.centres):
            if line != y or place == self.chosen:
                continue
            if self.uses_letters:
                continue  # the letters are there
            style = Style(color=background.rich_color, bgcolor=self.colour(place).rich_color)
            cells[column] = (sign(place), style)
        if 0 <= self.chosen < len(found.centres) and found.centres[self.chosen][1] == y:
            column = found.centres[self.chosen][0]
            name = f" {sign(self.chosen)} {excerpt(self._cloud.names[self.chosen], max(4, len(cells) // 2 - 4))} "
            colour = self.styles.color if self.uses_letters else self.colour(self.chosen)
            style = Style(color=background.rich_color, bgcolor=colour.rich_color, bold=True)
            written = Strip([Segment(name, style)])
            length = min(written.cell_length, len(cells))
            start = min(max(0, column - 1), len(cells) - length)
            # A wide character takes the place of two cells.
            cells[start : start + length] = [(written.crop(0, length).text, style)]
