"""The app: one project, six screens, a queue of jobs."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.driver import Driver
from textual.screen import Screen
from textual.widget import Widget

from augtui import locations
from augtui.domain.visible import visible
from augtui.errors import AugtuiError
from augtui.store import pace, projects
from augtui.store.listings import Filter
from augtui.store.runs import RunRow
from augtui.tui import preferences, selection, steps, themes
from augtui.tui.catalogue import Catalogue, Command
from augtui.tui.jobs import Job, Jobs
from augtui.tui.reader import Reader
from augtui.tui.screens.dialogs import Choice, Prompt, Question, Reading
from augtui.tui.screens.form import Form
from augtui.tui.screens.help import Help
from augtui.tui.screens.workbench import NAMES, Workbench
from augtui.tui.stylesheet import ParsedOnce
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble, duration, plain

if TYPE_CHECKING:
    from augtui.settings import Settings
    from augtui.store.reviewers import Reviewer

REMEMBERED_RUNS = 50
APART = ("import", "export")
"""Steps that no selection of records is written for."""
TOLD_S = 10.0
"""How long a fault is seen."""
LOAD_S = 0.02
"""How long after the first paint the rest is loaded."""
LOAD_EVERY_S = 0.5
COLLECT = (20_000, 20, 50)
"""When garbage is looked for (`gc.set_threshold`): looking at every object takes as long as painting a screen."""


def _screen(name: str) -> Screen[None]:
    """Return a new screen; what it needs is loaded when it is first seen, so that the first one is there at once."""
    module = import_module(f"augtui.tui.screens.{name}")
    found: Screen[None] = getattr(module, name.capitalize())()
    return found


class Workshop(App[int]):
    """The terminal app."""

    TITLE = "augtui"
    CSS_PATH = "augtui.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {name: partial(_screen, name) for name, _ in NAMES}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"show('{name}')", title, show=False, id=f"app.{name}")
            for number, (name, title) in enumerate(NAMES, start=1)
        ),
        Binding("ctrl+o", "projects", "Projects", show=False, id="app.projects"),
        Binding("ctrl+t", "themes", "Theme", show=False, id="app.themes"),
        Binding("ctrl+g", "jump", "Jump", show=False, id="app.jump"),
        Binding("ctrl+l", "log", "Log", show=False, id="app.log"),
        Binding("ctrl+p", "command_palette", "Commands", key_display="^p", priority=True, id="app.commands"),
        Binding("f1", "help", "Help", key_display="F1", id="app.help"),
        Binding("ctrl+q", "leave", "Quit", key_display="^q", priority=True, id="app.quit"),
    ]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        project: str | None = None,
        screen: str | None = None,
        settings: Settings | Callable[[], Settings],
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """Open a project (the settings' one where None) on a screen (home where None).

        `settings` may be what loads them, once the first screen is painted, if project and `keys` are given.
        """
        super().__init__()
        self.catalogue = catalogue
        self._settings = settings
        self._keys = keys
        self._told: dict[str, float] = {}
        """When the newest fault was told."""
        self.fault: AugtuiError | None = None
        """Why the app could not stay open."""
        self.first_screen = screen or "home"
        self.jobs = Jobs(catalogue, self._ended, self._begun)
        self.preferences = preferences.read()
        self._path = projects.locate(project or self.settings.project)
        self.reader = Reader(self._path)
        for theme in themes.THEMES:
            self.register_theme(theme)
        wanted = str(self.preferences.get("theme", themes.DEFAULT))
        self.set_reactive(Workshop.theme, wanted if wanted in self.available_themes else themes.DEFAULT)
        self.stylesheet = ParsedOnce(variables=self.get_css_variables())

    def get_driver_class(self) -> type[Driver]:
        """Return Textual's driver for this terminal, on Linux and macOS ours."""
        found = super().get_driver_class()
        if found.__name__ == "LinuxDriver":
            from augtui.tui.driver import AttentiveDriver

            return AttentiveDriver
        return found

    @property
    def project_name(self) -> str:
        """Return the name of the open project."""
        return self._path.name.removesuffix(".db")

    @property
    def project_argument(self) -> str:
        """Return the open project as the value of `--project`."""
        inside = self._path.parent == locations.projects() and projects.NAME.fullmatch(self.project_name)
        return self.project_name if inside else str(self._path)

    @property
    def settings(self) -> Settings:
        """Return the settings; raises UsageError where they cannot be read."""
        if callable(self._settings):
            self._settings = self._settings()
        return self._settings

    @cached_property
    def reviewer(self) -> Reviewer:
        """Return who judges in this session."""
        from augtui.store.reviewers import Reviewer

        return Reviewer.here(self.settings.reviewer)

    def on_mount(self) -> None:
        """Show the first screen, and load what it can do without."""
        self.set_keymap({**(self.settings.keys if self._keys is None else self._keys)})
        self.switch_mode(self.first_screen)
        self.call_after_refresh(self.set_timer, LOAD_S, self._load)

    def _load(self) -> None:
        # What is there by now stays: collecting garbage need not look at it again.
        gc.freeze()
        gc.set_threshold(*COLLECT)
        gc.enable()
        spawn(self, self._load_rest, group="load")

    async def _load_rest(self) -> None:
        def load() -> None:
            _ = self.settings, self.catalogue.commands

        try:
            await asyncio.to_thread(load)
        except AugtuiError as error:
            self.fault = error
            self.exit(error.exit_code)
            return
        gc.freeze()
        await self._clean()
        # Screens that were never seen are loaded while nobody waits for them.
        for name, _ in NAMES:
            await asyncio.sleep(LOAD_EVERY_S)
            await asyncio.to_thread(import_module, f"augtui.tui.screens.{name}")
        gc.freeze()
        if self.settings.keys:
            await self._check_keys()

    async def _check_keys(self) -> None:
        """Say which names of keys in config.toml mean nothing."""
        from augtui.tui import bindings

        for name, alike in (await asyncio.to_thread(bindings.unknown, self.settings.keys)).items():
            hint = "F1 shows the names of a screen's keys." if alike is None else f"Did you mean {alike!r}?"
            self.notify(
                f"[keys] in config.toml: there is no {visible(name)!r}. {hint}", severity="warning", markup=False
            )

    async def _clean(self) -> None:
        """Remove the files of records that no run needs any more."""
        begun = [word for words in self.preferences.get("runs", {}).values() for word in words]
        with suppress(AugtuiError, sqlite3.Error, OSError):
            await self.reader.slow.ask(selection.clean, begun)

    def delay_update(self, delay: float = 0.001) -> None:
        """Paint a screen that is gone to as soon as it is laid out: Textual would wait for 50 ms."""
        super().delay_update(min(delay, 0.001))

    def state(self) -> Content:
        """Return what goes on, in a few words for the line of screens."""
        job = self.jobs.current
        if job is None:
            return Content("")
        if job.is_live:
            share = f" {100 * job.done // job.total}%" if job.total else ""
            mark = "‖" if job.status == "paused" else "●"
            waiting = len(self.jobs.waiting)
            more = f" +{waiting}" if waiting else ""
            return assemble([(f"{job.title}{share}{more} {mark}", "$success")])
        mark, style = {"finished": ("✓", "$success"), "failed": ("✗", "$error")}.get(job.status, ("‖", "$warning"))
        return assemble([(f"{job.title} {mark}", style)])

    def action_show(self, name: str) -> None:
        """Go to a screen."""
        if len(self.screen_stack) == 1 and self.current_mode != name:
            self.switch_mode(name)

    def action_map(self) -> None:
        """Go to the map of the records."""
        from augtui.tui.screens.plots import Plots

        self.action_show("plots")
        if isinstance(self.screen, Plots):
            self.screen.call_after_refresh(self.screen.show_map)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield what the palette offers: screens, what the app does, and every command of the command line."""
        for number, (name, title) in enumerate(NAMES, start=1):
            yield SystemCommand(f"Go to {title}", f"Screen {number}", lambda name=name: self.action_show(name))
        yield SystemCommand("Map", "The records as clusters: look into them, prune, expand", self.action_map)
        yield SystemCommand("Open project", "Another project, or a new one", self.action_projects)
        yield SystemCommand("Theme", "Dark, light, high contrast or no colour", self.action_themes)
        yield SystemCommand("Log", "What the job at work writes", self.action_log)
        yield SystemCommand("Help", "All keys", self.action_help)
        yield SystemCommand("Save picture", "The screen as an SVG file", self.action_picture)
        for command in self.catalogue.commands:
            yield SystemCommand(
                command.name, command.summary, lambda command=command: spawn(self, partial(self._offer_any, command))
            )
        yield SystemCommand("Quit", "Leave the app", self.action_leave)

    async def _offer_any(self, command: Command) -> None:
        """Offer a command as its own screen would: a step on all records of the project."""
        if steps.is_step(command) and command.name not in APART:
            await self.offer_step(command, Filter())
        else:
            await self.offer(command)

    async def offer(
        self, command: Command, values: dict[str, str] | None = None, *, estimate: str = "", start: bool = False
    ) -> Job | None:
        """Show a command's form and start what comes of it; returns the job, or None."""
        given = dict(values or {})
        if command.parameter("project") is not None:
            given.setdefault("project", self.project_argument)
        for name, value in self._suggested(command).items():
            given.setdefault(name, value)
        form = Form(command, given, defaults=self._defaults(command), estimate=estimate, start=start)
        arguments = await self.push_screen_wait(form)
        return None if arguments is None else self.launch(arguments, command.name)

    def launch(self, arguments: list[str], title: str, *, program: tuple[str, ...] = ()) -> Job:
        """Put a command into the queue and tell of it."""
        job = self.jobs.add(arguments, title, program=program, place=str(self._path))
        if job.status == "waiting":
            self.notify(f"{title} waits for what runs now.", title="Queued", markup=False)
        return job

    async def estimate(self, task: str, count: int | None = None) -> str:
        """Return how long `count` records would take (1,000 where None) at the pace of an earlier run, in words."""
        try:
            found = await self.reader.slow.ask(pace.of_newest_run, task)
        except (AugtuiError, sqlite3.Error):
            return ""
        if found is None or found.seconds is None:
            return "How long it takes shows with the first results: no run of this step was measured here yet."
        many = count or 1000
        return (
            f"About {duration(many * found.seconds)} for {many:,} record{'' if many == 1 else 's'}:"
            f" run {found.run} took {1000 * found.seconds:,.0f} ms each here."
        )

    def choose_step(self) -> None:
        """Choose a step, fill its form, start it."""
        spawn(self, self._choose_step)

    async def _choose_step(self) -> None:
        names = [name for name in steps.steps(self.catalogue) if self.catalogue.get(name) is not None]
        options = [(name, f"{name:<14} {command.summary}") for name in names if (command := self.catalogue.get(name))]
        chosen = await self.push_screen_wait(Choice("Run step", options))
        command = None if chosen is None else self.catalogue.get(chosen)
        if command is not None:
            await self.offer_step(command, Filter())

    async def offer_step(self, command: Command, wanted: Filter) -> None:
        """Offer a step on the records that a filter lists, with an estimate; show the batch if it starts."""
        values: dict[str, str] = {}
        file = command.parameter("file")
        estimate, count = "", None
        if file is not None and file.required:
            path, count = await self.reader.slow.ask(selection.write, wanted, self.reader.slow.attached)
            if path is not None:
                values["file"] = str(path)
                what = "the records listed" if wanted else "all records of the project"
                estimate = f"The file holds {what}: {count:,}. "
        estimate += await self.estimate(command.name, count)
        if await self.offer(command, values, estimate=estimate) is not None:
            self.action_show("batch")

    async def try_out(self, record_id: str) -> None:
        """Go to the place to try models out, with a record's instruction as the prompt."""
        from augtui.store import dataset
        from augtui.tui.screens.models import Models

        found = await self.reader.quick.ask(dataset.get, record_id)
        if found is None:
            return
        await self.switch_mode("models")
        if isinstance(self.screen, Models):
            self.screen.take(found)

    def take_up(self, run: RunRow) -> None:
        """Go on with an interrupted run: by the command that this app began it with, or by its own settings."""
        resume = self.catalogue.get("runs resume")
        if resume is not None and run.command is not None and run.command.is_ours:
            argument = resume.parameters[0].name
            values: dict[str, str | bool | None] = {argument: str(run.id), "project": self.project_argument}
            self.launch(resume.arguments(values), run.task)
            self.action_show("batch")
            return
        begun = self.preferences.get("runs", {}).get(f"{self._path}#{run.id}")
        if isinstance(begun, list):
            self.launch([str(word) for word in begun], run.task)
            self.action_show("batch")
            return
        command = self.catalogue.get(run.task)
        if command is None:
            self.notify(f"This augtui has no command {visible(run.task)}.", severity="warning", markup=False)
            return
        known = {name: str(value) for name, value in run.config.items() if command.parameter(name) is not None}
        known.pop("model", None)
        spawn(self, partial(self.offer, command, {**known, "file": run.source}))

    def open(self, name: str) -> None:
        """Open another project; it is made if there is none of that name."""
        try:
            path = projects.locate(name)
        except AugtuiError as error:
            self.complain(error)
            return
        self.reader.close()
        self._path = path
        self.reader = Reader(path)
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, Workbench):
                    screen.project_changed()

    def complain(self, error: Exception, title: str = "") -> None:
        """Tell of an error, and what to do next."""
        message = error.message if isinstance(error, AugtuiError) else f"{type(error).__name__}: {error}"
        hint = error.hint if isinstance(error, AugtuiError) else None
        text = visible(message) + (f"\n{visible(hint)}" if hint else "")
        # Several readers may meet the same fault: it is told once as long as it is seen.
        now = time.monotonic()
        if now - self._told.get(text, -TOLD_S) < TOLD_S:
            return
        self._told = {text: now}
        self.notify(text, title=title, severity="error", timeout=TOLD_S, markup=False)

    async def action_projects(self) -> None:
        """Choose a project."""
        spawn(self, self._choose_project)

    async def _choose_project(self) -> None:
        files = projects.list_projects()
        options: list[tuple[str, str]] = [("new", "+ new project")]
        options += [(f"/{file.name}", f"{file.name}  {file.bytes / 1e6:,.1f} MB") for file in files]
        chosen = await self.push_screen_wait(Choice("Projects", options, chosen=f"/{self.project_name}"))
        if chosen is None:
            return
        if chosen == "new":
            name = await self.push_screen_wait(Prompt("New project", placeholder="letters, digits, . _ -"))
            if name:
                self.open(name)
            return
        self.open(chosen[1:])

    def action_themes(self) -> None:
        """Choose a look; each is shown as the cursor passes it."""
        spawn(self, self._choose_theme)

    async def _choose_theme(self) -> None:
        from augtui.tui.screens.looks import Looks

        chosen = await self.push_screen_wait(Looks(self.theme))
        if chosen is not None:
            self.preferences["theme"] = chosen
            preferences.write(self.preferences)

    def action_help(self) -> None:
        """Show all keys."""
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_jump(self) -> None:
        """Go to a part of the screen by its letter."""
        from augtui.tui.screens.jump import Jump

        def go(target: Widget | None) -> None:
            if target is not None:
                target.focus()

        if len(self.screen_stack) == 1:
            self.push_screen(Jump([widget for widget in self.screen.focus_chain if widget.region.height]), go)

    def action_log(self) -> None:
        """Show what the job at work writes."""
        job = self.jobs.current
        lines = [] if job is None else [job.command, "", *job.last_words(400), *job.output]
        self.push_screen(Reading("Log", plain("\n".join(lines) or "No job has run yet.")))

    def action_picture(self) -> None:
        """Save the screen as an SVG file in the current folder."""
        self.notify(f"Saved {visible(self.save_screenshot(path=str(Path.cwd())))}", markup=False)

    def action_leave(self) -> None:
        """Leave; ask first where work is under way."""
        spawn(self, self._leave)

    async def action_quit(self) -> None:
        """Leave; ask first where work is under way."""
        self.action_leave()

    async def _leave(self) -> None:
        if self.jobs.live or self.jobs.waiting:
            text = "Work is under way. What is done is saved; the rest can be taken up again."
            if not await self.push_screen_wait(Question("Quit", text, yes="Stop and quit", no="Stay")):
                return
            await self.jobs.close()
        self.reader.close()
        self.exit(0)

    def _suggested(self, command: Command) -> dict[str, str]:
        """Return where a command writes to if it would write to nowhere that one sees from here."""
        if command.name == "export":
            return {"shape": "jsonl", "output": f"{self.project_name}.jsonl"}
        if command.name == "trainset" or (steps.is_step(command) and command.parameter("project") is None):
            return {"output": f"{self.project_name}-{command.name}.jsonl"}
        return {}

    def _defaults(self, command: Command) -> dict[str, str]:
        from augtui.pipelines.teachers import WANTING

        values = {name: str(value) for name, value in self.settings.model_dump().items() if value is not None}
        if command.name in WANTING and "model" not in self.settings.model_fields_set:
            values["model"] = "needed: a general model"
        return values

    def _begun(self, job: Job) -> None:
        """Remember the command of a run, by which it can be taken up after a death of the app."""
        known = self.preferences.setdefault("runs", {})
        known.pop(name := f"{job.place}#{job.run}", None)
        known[name] = job.arguments
        for old in list(known)[:-REMEMBERED_RUNS]:
            del known[old]
        preferences.write(self.preferences)

    def _show_comparison(self) -> None:
        from augtui.pipelines import versus
        from augtui.tui.screens.versus import Versus

        newest = next(versus.saved(), None)
        if newest is not None:
            self.push_screen(Versus(newest))

    def tell_desktop(self, job: Job) -> None:
        """Tell whoever looks at another window that a job has ended, unless that is not wanted."""
        wanted = self.settings.notify
        # A terminal that says nothing of the focus counts as looked at.
        if wanted == "never" or job.status == "stopped" or (wanted == "auto" and self.app_focus):
            return
        from augtui.tui import desktop

        text = f"{job.title} {job.status}. {_outcome(job) if job.status == 'finished' else ''}"
        desktop.tell("augtui", text.strip(), self._write_to_terminal)

    def _write_to_terminal(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

    def _ended(self, job: Job) -> None:
        """Tell that a job has ended, and what to do next."""
        self.bell()
        self.tell_desktop(job)
        if job.status == "finished":
            self.notify(_outcome(job), title=f"{job.title} finished", markup=False)
        elif job.status == "failed":
            words = "\n".join(job.last_words(3)) or f"exit code {job.code}"
            self.notify(f"{words}\n^l shows the log.", title=f"{job.title} failed", severity="error", markup=False)
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, Workbench):
                    screen.refresh_body()
        if job.title == "compare" and job.status == "finished":
            self._show_comparison()
        elif job.output and job.code == 0 and not job.summary:
            self.push_screen(Reading(job.title, plain("\n".join(job.output))))


def _outcome(job: Job) -> str:
    counts = job.counts
    if not counts or "done" in counts:
        return "\n".join(job.last_words(1)) or "Done."
    kept = f", {counts['kept_original']:,} kept as they were" if counts.get("kept_original") else ""
    return f"{counts.get('accepted', 0):,} accepted{kept}, {counts.get('failed', 0):,} failed. 3 reviews them."
