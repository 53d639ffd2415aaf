"""6 Training: a trainer as a child process, its loss as it falls, its checkpoints, and their way into the models."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual_plotext import PlotextPlot

from augtui.domain.visible import excerpt, visible
from augtui.models import catalog, checksums, registry
from augtui.pipelines import versus
from augtui.tui import preferences
from augtui.tui.catalogue import Command
from augtui.tui.jobs import Job
from augtui.tui.screens.dialogs import Choice
from augtui.tui.screens.form import Form
from augtui.tui.screens.versus import Versus
from augtui.tui.screens.workbench import Workbench
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble, duration
from augtui.tui.trainers import PROGRAMS, QUANTIZE, SFT, Events

LOOK_S = 0.5
MOST_POINTS = 400
REMEMBERED = 20


class Training(Workbench):
    """Trainers and checkpoints."""

    MODE = "training"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Start", id="training.run"),
        Binding("x", "stop", "Stop", id="training.stop"),
        Binding("g", "quantize", "Quantize", id="training.quantize"),
        Binding("v", "versus", "Compare", id="training.versus"),
        Binding("w", "curve", "Loss or rate", id="training.curve"),
        Binding("l", "app.log", "Log", id="training.log"),
    ]

    def __init__(self) -> None:
        """Begin without a curve."""
        super().__init__()
        self._events: Events | None = None
        self._shows_rate = False
        self._was_live = False
        self._folders: list[Path] = []
        self._made: str | None = None
        """The model that was made here last."""

    def body(self) -> ComposeResult:
        """Put programs and checkpoints beside the curve."""
        with Horizontal(id="training"):
            with Vertical(classes="pane", id="programs-pane") as box:
                box.border_title = "Programs"
                yield OptionList(
                    *(Option(Content(program.name)) for program in PROGRAMS), id="programs", markup=False, compact=True
                )
                yield Static(Content.styled("checkpoints", "$foreground-muted"), markup=False)
                yield OptionList(id="checkpoints", markup=False, compact=True)
            with Vertical(classes="pane", id="loss-pane") as box:
                box.border_title = "Loss"
                yield PlotextPlot(id="loss")
                yield Static(id="training-facts", markup=False)

    def on_mount(self) -> None:
        """Look at the trainer's reports twice a second."""
        self.query_one("#programs", OptionList).highlighted = 0
        self.query_one("#programs").focus()
        self.set_interval(LOOK_S, self._look)
        self._list()
        self._draw()

    def refresh_body(self) -> None:
        """List the checkpoints anew."""
        self._list()
        self._look()

    @property
    def job(self) -> Job | None:
        """Return the newest job of a trainer."""
        return next((job for job in reversed(self.workshop.jobs.all) if job.title == SFT.name), None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Offer the program, or show a checkpoint's curve."""
        if event.option_list.id == "programs":
            spawn(self, partial(self._offer, PROGRAMS[event.option_index]))
        elif event.option_index < len(self._folders):
            self._events = Events(self._folders[event.option_index])
            self._events.read()
            self._draw()

    def action_run(self) -> None:
        """Offer the program under the cursor."""
        place = self.query_one("#programs", OptionList).highlighted or 0
        spawn(self, partial(self._offer, PROGRAMS[place]))

    async def _offer(self, program: Command, values: dict[str, str] | None = None) -> None:
        arguments = await self.app.push_screen_wait(Form(program, values, prefix="python -m"))
        if arguments is None:
            return
        job = self.workshop.launch(arguments, program.name, program=(sys.executable, "-m"))
        given = _given(program, arguments)
        if program is SFT:
            folder = Path(given["out"]).expanduser().absolute()
            known = [str(folder), *(name for name in self._known() if name != str(folder))]
            self.workshop.preferences["checkpoints"] = known[:REMEMBERED]
            preferences.write(self.workshop.preferences)
            self._events = Events(folder)
            self._list()
        elif program is QUANTIZE:
            spawn(self, partial(self._register, job, given))

    async def _register(self, job: Job, given: dict[str, str]) -> None:
        """Make a quantized model known as soon as its file is whole."""
        while job.ended is None:
            await asyncio.sleep(LOOK_S)
        if job.code != 0:
            return
        path = Path(given["output"]).expanduser().absolute()
        sha256 = await asyncio.to_thread(checksums.sha256, path)
        name = given.get("name") or path.stem
        pulled = registry.made_here(name, given.get("type", "Q8_0"), path, sha256)
        self._made = pulled.key
        self.notify(
            f"{visible(pulled.key)} is among the models now; 4 tries it out, v compares it with another.", markup=False
        )

    def action_quantize(self) -> None:
        """Offer to quantize the checkpoint under the cursor."""
        place = self.query_one("#checkpoints", OptionList).highlighted
        values: dict[str, str] = {"type": "Q8_0"}
        if place is not None and place < len(self._folders):
            folder = self._folders[place]
            values |= {"checkpoint": str(folder), "output": str(folder.with_name(f"{folder.name}-q8_0.gguf"))}
        spawn(self, partial(self._offer, QUANTIZE, values))

    def action_versus(self) -> None:
        """Compare two models on the same prompts, or look at a comparison that was made."""
        spawn(self, self._versus)

    async def _versus(self) -> None:
        known = list(versus.saved())[:50]
        chosen: str | None = "new"
        if known:
            options = [("new", "compare two models"), *((str(path), excerpt(path.stem, 62)) for path in known)]
            chosen = await self.app.push_screen_wait(Choice("Comparisons", options))
        if chosen == "new":
            command = self.workshop.catalogue.get("compare")
            if command is not None:
                values = {"before": catalog.DEFAULT, "after": self._made or ""}
                await self.workshop.offer(command, values, start=self._made is not None)
        elif chosen is not None:
            await self.app.push_screen(Versus(Path(chosen)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to stop what runs."""
        job = self.job
        return (True if job is not None and job.is_live else None) if action == "stop" else True

    def action_stop(self) -> None:
        """End the trainer; its last checkpoint stays."""
        job = self.job
        if job is not None and job.is_live:
            self.workshop.jobs.stop(job)

    def action_curve(self) -> None:
        """Show the learning rate instead of the loss, or the loss again."""
        self._shows_rate = not self._shows_rate
        self._draw()

    def _known(self) -> list[str]:
        found = self.workshop.preferences.get("checkpoints", [])
        return [str(name) for name in found] if isinstance(found, list) else []

    def _list(self) -> None:
        options = self.query_one("#checkpoints", OptionList)
        place = options.highlighted
        options.clear_options()
        self._folders = [Path(name) for name in self._known()]
        for folder in self._folders:
            is_whole = any(folder.glob("*.safetensors"))
            mark, style = ("●", "$success") if is_whole else ("○", "$foreground-muted")
            options.add_option(Option(assemble([(f"{mark} ", style), excerpt(folder.name, 26)])))
        options.highlighted = place if place is not None and place < len(self._folders) else None

    def _look(self) -> None:
        if not self.is_current:
            return
        job = self.job
        if (live := job is not None and job.is_live) != self._was_live:
            self._was_live = live
            self.refresh_bindings()
        if self._events is None and self._folders:
            self._events = Events(self._folders[0])
        if self._events is not None and self._events.read():
            self._draw()
        else:
            self._draw_facts()

    def _draw(self) -> None:
        reports = [] if self._events is None else self._events.reports
        plot = self.query_one(PlotextPlot)
        name = "lr" if self._shows_rate else "loss"
        points = [(report.step, value) for report in reports if (value := getattr(report, name)) is not None]
        box = self.query_one("#loss-pane")
        box.border_title = Content("Learning rate" if self._shows_rate else "Loss")
        plot.display = len(points) > 1
        if len(points) > 1:
            points = points[:: max(1, len(points) // MOST_POINTS)]
            plot.plt.clear_figure()
            plot.plt.plot([x for x, _ in points], [y for _, y in points], marker="braille", color=(122, 162, 199))
            plot.plt.xlabel("step")
            plot.refresh()
        self._draw_facts()

    def _draw_facts(self) -> None:
        facts = self.query_one("#training-facts", Static)
        job, events = self.job, self._events
        pieces: list[str | tuple[str, str] | Content] = []
        if events is not None and events.reports:
            last = events.reports[-1]
            pieces += [("step ", "$foreground-muted"), f"{last.step:,}"]
            if last.loss is not None:
                pieces += [("   loss ", "$foreground-muted"), f"{last.loss:.4f}"]
            if last.lr is not None:
                pieces += [("   lr ", "$foreground-muted"), f"{last.lr:.2e}"]
            if last.speed is not None:
                pieces += [("   ", ""), f"{last.speed:,.0f} tok/s"]
            if last.progress is not None:
                pieces += [("   done ", "$foreground-muted"), f"{100 * last.progress:.0f}%"]
            pieces.append((f"\n{excerpt(str(events.path.parent), 90)}", "$foreground-muted"))
        if job is not None:
            pieces.append((f"\n{job.title}: {job.status}, {duration(job.elapsed_s())}", "$foreground-muted"))
            if job.status in ("starting", "running", "failed"):
                pieces.append(("\n" + "\n".join(job.last_words(3)), "$error" if job.status == "failed" else ""))
        if not pieces:
            pieces = [
                "Nothing was trained from here yet.\n\n",
                ("r", "bold $accent"),
                " starts a trainer on this machine; its loss is drawn as it falls.\n",
                ("g", "bold $accent"),
                " makes a model for this machine of a checkpoint, which then stands among the models.",
            ]
        facts.update(assemble(pieces))


def _given(program: Command, arguments: list[str]) -> dict[str, str]:
    """Return the values of a command's words by the names of its parameters."""
    given: dict[str, str] = {}
    words = iter(arguments[len(program.path) :])
    positional = [parameter for parameter in program.parameters if not parameter.flags]
    for word in words:
        flag, _, value = word.partition("=")
        parameter = next((one for one in program.parameters if flag in one.flags), None)
        if parameter is None:
            if word != "--" and positional:
                given[positional.pop(0).name] = word
        elif parameter.kind != "flag":
            given[parameter.name] = value or next(words, "")
    return given
