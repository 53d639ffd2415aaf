"""5 Plots: the project in figures."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual_plotext import PlotextPlot

from augtui.domain.visible import excerpt, visible
from augtui.metrics.figures import FIGURES, Figure
from augtui.tui.screens.workbench import Workbench
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble
from augtui.tui.widgets.mappane import MapPane

MAP = "map"
"""The figure that is a pane of its own."""
COLOURS = ((122, 162, 199), (224, 176, 116), (141, 191, 139), (217, 136, 128))


class Plots(Workbench):
    """One figure at a time."""

    MODE = "plots"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", "Save as picture", id="plots.save"),
        Binding("r", "reload", "Compute again", id="plots.reload"),
        # The pane's own keys are there once there is a map to be in: these are for the first one.
        Binding("m", "make(False)", "Make map", id="map.make"),
        Binding("M", "make(True)", "Make anew", show=False, id="map.renew"),
    ]

    def __init__(self) -> None:
        """Begin with the first figure."""
        super().__init__()
        self._figures = [*FIGURES, MAP]
        self._chosen = self._figures[0]
        self._figure: Figure | None = None

    def body(self) -> ComposeResult:
        """Put the figures' names beside the plot."""
        with Horizontal(id="plots"):
            with Vertical(classes="pane", id="figure-list") as box:
                box.border_title = "Figures"
                yield OptionList(
                    *(Option(Content(name.capitalize())) for name in self._figures),
                    id="figure-names",
                    markup=False,
                    compact=True,
                )
            with Vertical(classes="pane", id="figure") as box:
                box.border_title = ""
                yield PlotextPlot(id="plot")
                yield Static(id="numbers", markup=False)
                yield MapPane(id="map")

    def on_mount(self) -> None:
        """Begin on the list."""
        self.query_one(MapPane).display = False
        names = self.query_one("#figure-names", OptionList)
        names.highlighted = 0
        names.focus()

    def project_changed(self) -> None:
        """Compute for another project."""
        self.query_one(MapPane).restart()
        self.action_reload()

    def refresh_body(self) -> None:
        """Compute anew: there may be more results."""
        self.action_reload()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show another figure."""
        self._chosen = self._figures[event.option_index]
        self.action_reload()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to make a map where one is looked at."""
        return self._chosen == MAP if action == "make" else True

    def action_make(self, anew: bool) -> None:
        """Make the map, or put later records into it."""
        self.query_one(MapPane).action_make(anew)

    def show_map(self) -> None:
        """Choose the map."""
        self.query_one("#figure-names", OptionList).highlighted = self._figures.index(MAP)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Give the map the room of the list while one is in it."""
        self.query_one("#plots").set_class(self.query_one(MapPane) in event.widget.ancestors, "-inside")

    def on_option_list_option_selected(self) -> None:
        """Go into the map."""
        self.query_one(MapPane).enter_pane()

    def action_reload(self) -> None:
        """Compute the figure and draw it."""
        pane = self.query_one(MapPane)
        pane.display = self._chosen == MAP
        self.query_one("#plots").set_class(pane.display, "-map")
        self.query_one("#numbers").display = not pane.display
        if pane.display:
            self.query_one(PlotextPlot).display = False
            self.workers.cancel_group(self, "figure")
            pane.reload()
            return
        spawn(self, partial(self._compute, self._chosen), group="figure", exclusive=True)

    async def _compute(self, name: str) -> None:
        self.query_one("#figure").border_subtitle = "computing…"
        self._figure = await self.workshop.reader.slow.ask(FIGURES[name])
        self.query_one("#figure").border_subtitle = ""
        self._draw(self._figure)

    def _draw(self, figure: Figure) -> None:
        self.query_one("#figure").border_title = Content(figure.title)
        plot = self.query_one(PlotextPlot)
        plot.display = not figure.is_empty
        numbers = self.query_one("#numbers", Static)
        if figure.is_empty:
            numbers.update(Content("Nothing to show yet: a run makes results."))
            return
        plt = plot.plt
        plt.clear_figure()
        plt.ylabel(figure.y_label or None)
        plt.xlabel(figure.x_label or None)
        if figure.percent:
            plt.ylim(0, 100)
        several = len(figure.series) > 1
        if figure.kind == "lines":
            for series, colour in zip(figure.series, COLOURS, strict=False):
                plt.plot(
                    list(figure.x), list(series.values), label=series.name if several else None, color=colour,
                    marker="braille",
                )  # fmt: skip
        else:
            labels = [excerpt(label, 16) for label in figure.labels]
            values = [list(series.values) for series in figure.series]
            names = [series.name for series in figure.series]
            if several:
                multiple_bar: Any = plt.multiple_bar  # its annotations know of one series only
                multiple_bar(labels, values, labels=names, color=list(COLOURS[: len(values)]), width=0.6)
            else:
                plt.bar(labels, values[0], color=COLOURS[0], width=0.5)
        plot.refresh()
        numbers.update(_numbers(figure))

    def action_save(self) -> None:
        """Offer to save the figure as SVG or PNG."""
        command = self.workshop.catalogue.get("plot")
        if command is not None:
            values = {"name": self._chosen, "output": f"{self._chosen}.svg"}
            spawn(self, partial(self.workshop.offer, command, values))


def _numbers(figure: Figure) -> Content:
    """Return a figure's numbers in words: a plot in cells is coarse."""
    pieces: list[str | tuple[str, str] | Content] = []
    if figure.kind == "bars":
        for place, label in enumerate(figure.labels[:8]):
            values = ", ".join(
                f"{series.values[place]:,.4g}" + ("" if len(figure.series) == 1 else f" {series.name}")
                for series in figure.series
                if series.values[place]
            )
            pieces += [(f"{visible(label)} ", "$foreground-muted"), f"{values or '0'}   "]
    if figure.note:
        pieces += ["\n" if pieces else "", (figure.note, "$foreground-muted")]
    return assemble(pieces)
