"""1 Home: the pipeline with its counts, the records, and where the record under the cursor came from."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from augtui import locations
from augtui.domain.visible import excerpt, visible
from augtui.errors import AugtuiError
from augtui.pipelines.examples import PROMPTS
from augtui.pipelines.export import WholeFile
from augtui.store import dataset, listings, runs, search
from augtui.store.listings import Filter, RecordRow, StepCount
from augtui.store.projects import Project
from augtui.store.runs import RunRow
from augtui.tui import record, steps
from augtui.tui.catalogue import Command
from augtui.tui.reader import Reader
from augtui.tui.screens.dialogs import Reading
from augtui.tui.screens.filters import Filters
from augtui.tui.screens.workbench import Workbench
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble
from augtui.tui.widgets.records import RecordsTable

SEARCH_PAUSE_S = 0.15
"""How long a search waits for the next key."""
LOOK_S = 1.0
"""How often the project is looked at for what others have written."""
DETAIL_PAUSE_S = 0.05
FIRST = "refine"
"""The step that the cursor begins at."""


class Home(Workbench):
    """Records and pipeline of the open project."""

    MODE = "home"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run step", id="home.run"),
        Binding("slash", "find", "Find", key_display="/", id="home.find"),
        Binding("f", "filter", "Filter", id="home.filter"),
        Binding("c", "resume", "Continue run", id="home.continue"),
        Binding("i", "command('import')", "Import", id="home.import"),
        Binding("e", "command('export')", "Export", id="home.export"),
        Binding("t", "try", "Try out", show=False, id="home.try"),
        Binding("y", "copy", "Copy", show=False, id="home.copy"),
        Binding("tab", "app.focus_next", "Next part", show=False, id="home.next"),
        Binding("x", "example", "Example", id="home.example"),
        Binding("escape", "clear", "Clear search", show=False, id="home.clear"),
    ]

    def __init__(self) -> None:
        """Begin without a filter."""
        super().__init__()
        self._filter = Filter()
        self._version = -1
        self._counts: dict[str, StepCount] = {}
        self._imported: StepCount | None = None
        self._counted = 0.0
        self._counting_s = 0.0
        self._first = True
        self._listed = 0.0
        self._listing_s = 0.0
        self._interrupted: list[tuple[RunRow, int]] = []
        self._languages: list[tuple[str, int]] = []
        self._runs: list[RunRow] = []
        self._search: Timer | None = None
        self._detail: Timer | None = None
        self._steps: list[str] = []
        self._empty = False
        self._indexing = False
        self._gone: Reader | None = None
        """The reader whose file was missed, so that it is told of once."""

    def body(self) -> ComposeResult:
        """Put the pipeline beside the records, and the record's origin below or beside them."""
        with Horizontal(id="home"):
            with Vertical(id="pipeline") as box:
                box.border_title = "Pipeline"
                yield OptionList(id="steps", markup=False, compact=True)
            with Vertical(id="list") as box:
                box.border_title = "Records"
                yield Static(id="notice", markup=False)
                yield Input(placeholder='/ find   words, or "a phrase"', id="find", compact=True)
                yield RecordsTable(id="records")
                yield Static(id="welcome", markup=False)
            with VerticalScroll(id="detail", can_focus=True) as box:
                box.border_title = "Record"
                yield Static(id="record", markup=False)

    def on_mount(self) -> None:
        """Read the project, and go on looking at it."""
        self.query_one("#welcome").display = False
        self.query_one("#notice").display = False
        self.set_interval(LOOK_S, self._look)
        self.query_one(RecordsTable).focus()
        self.project_changed()

    def project_changed(self) -> None:
        """Show another project from its beginning."""
        self._filter = Filter()
        self._version, self._first = -1, True
        self._counts, self._imported, self._interrupted = {}, None, []
        with self.prevent(Input.Changed):
            self.query_one("#find", Input).value = ""
        self._list(keep_place=False)
        self._look()

    def refresh_body(self) -> None:
        """Look at the project at once, also where another screen is seen: a job has ended, or this one is gone to."""
        self._counted = 0.0
        spawn(self, self._look_at, group="look")

    # -- reading -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.is_current or self._version < 0:
            spawn(self, self._look_at, group="look")

    async def _look_at(self) -> None:
        reader = self.workshop.reader
        if self._gone is not reader and reader.is_gone():
            self._gone = reader
            self.notify(
                "What was read before is still shown, but nothing can be saved. ^o opens another project.",
                title=f"{visible(self.workshop.project_name)} was moved or removed",
                severity="error",
                timeout=30,
                markup=False,
            )
        try:
            version = await reader.quick.ask(listings.data_version)
            first = self._version < 0
            if version == self._version and self._counted:
                return
            self._version = version
            # Counting reads whole tables: for large projects it is done more rarely.
            if time.monotonic() - self._counted < 10 * self._counting_s:
                return
            began = time.monotonic()
            self._counts = await reader.slow.ask(listings.step_counts)
            self._imported = await reader.slow.ask(listings.imported)
            self._runs = await reader.slow.ask(runs.list_runs)
            self._interrupted = await reader.slow.ask(_interrupted)
            self._languages = await reader.slow.ask(listings.languages)
            self._counted = time.monotonic()
            self._counting_s = self._counted - began
            self._show_steps()
            self._show_notice()
            self.refresh_bindings()
            if not first and time.monotonic() - self._listed >= 10 * self._listing_s:
                self._list(keep_place=True)
            self._index()
        except sqlite3.OperationalError:
            return  # a search has interrupted the counting, which is done again the next time
        except (AugtuiError, sqlite3.Error) as error:
            if reader is self.workshop.reader and self._version != -2:
                self._version = -2
                self.workshop.complain(error, "The project cannot be read")

    def _list(self, *, keep_place: bool) -> None:
        spawn(self, partial(self._list_records, self._filter, keep_place), group="list", exclusive=True)

    async def _list_records(self, wanted: Filter, keep_place: bool) -> None:
        reader = self.workshop.reader
        # Counting a list reads the whole table: only the first one is worth holding up a page.
        lane = reader.quick if self._first and not wanted else reader.slow
        self._first = False
        if wanted and not keep_place:
            lane.interrupt()
            self.query_one("#list").border_subtitle = "searching…"
        began = time.monotonic()
        try:
            listing = await lane.ask(listings.listing, wanted, attached=bool(wanted.text) and lane.attached)
        except sqlite3.OperationalError:
            return  # a newer search has taken its place
        except AugtuiError as error:
            self.workshop.complain(error)
            return
        if reader is not self.workshop.reader or wanted != self._filter:
            return
        self._listed, self._listing_s = time.monotonic(), time.monotonic() - began
        box = self.query_one("#list")
        box.border_title = Content(f"Records {listing.total:,}")
        box.border_subtitle = Content(_described(wanted))
        self._empty = not listing.total and not wanted
        self.query_one("#welcome").display = self._empty
        self.query_one("#find").display = not self._empty
        table = self.query_one(RecordsTable)
        table.display = not self._empty
        table.show(reader.quick, listing, keep_place=keep_place)
        if self._empty:
            self._welcome()
        self.refresh_bindings()

    def _index(self) -> None:
        if not self._indexing:
            self._indexing = True
            spawn(self, self._extend_index, group="index")

    async def _extend_index(self) -> None:
        reader = self.workshop.reader
        try:
            while reader is self.workshop.reader and reader.slow.attached:
                try:
                    if not await reader.slow.ask(search.extend):
                        return
                except sqlite3.OperationalError:  # a search goes first
                    await asyncio.sleep(1.0)
        except (AugtuiError, sqlite3.Error):
            return  # without an index the texts are read
        finally:
            self._indexing = False

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show_steps(self) -> None:
        options = self.query_one("#steps", OptionList)
        names = steps.steps(self.workshop.catalogue, self._counts)
        place = options.highlighted
        options.clear_options()
        self._steps = names
        options.add_options(Option(self._step(name)) for name in names)
        first = names.index(FIRST) if FIRST in names else 0
        options.highlighted = place if place is not None and place < len(names) else first

    def _step(self, name: str) -> Content:
        counts = self._imported if name == "import" else self._counts.get(name)
        job = self.workshop.jobs.current
        running = job is not None and job.is_live and job.title == name
        if running:
            mark, style = "●", "$accent"
        elif counts is None or not counts.total:
            mark, style = "○", "$foreground-muted"
        else:
            mark, style = ("◐", "$warning") if counts.pending else ("✓", "$success")
        number = "" if counts is None else f"{counts.total - counts.pending:,}"
        title = excerpt(name.capitalize(), 13)
        return assemble([(f"{mark} ", style), f"{title:<13}", (f"{number:>7}", "$foreground-muted")])

    def _show_notice(self) -> None:
        notice = self.query_one("#notice", Static)
        notice.display = bool(self._interrupted)
        if self._interrupted:
            run, pending = self._interrupted[0]
            more = f" (and {len(self._interrupted) - 1} more)" if len(self._interrupted) > 1 else ""
            notice.update(
                assemble(
                    [
                        ("‖ ", "$warning"),
                        f"Run {run.id} ({visible(run.task)}) was interrupted with {pending:,} still to do{more}. ",
                        ("c", "bold $accent"),
                        " continues it.",
                    ]
                )
            )

    def _welcome(self) -> None:
        lines = assemble(
            [
                ("\nNothing here yet.\n\n", "bold"),
                ("  x  ", "bold $accent"),
                f"the example: {len(PROMPTS)} everyday prompts, refined by the model that comes with augtui\n",
                ("  i  ", "bold $accent"),
                "a file of your own (JSONL, JSON, CSV, Parquet, text) or a data set of the Hub\n",
                (" ^o  ", "bold $accent"),
                "another project\n",
                (" ^p  ", "bold $accent"),
                "everything else\n",
            ]
        )
        self.query_one("#welcome", Static).update(lines)
        self.query_one("#record", Static).update("")
        self.query_one("#steps").focus()

    def on_records_table_highlighted(self, event: RecordsTable.Highlighted) -> None:
        """Show the record under the cursor, once the cursor rests."""
        if self._detail is not None:
            self._detail.stop()
        row = event.row
        self._detail = self.set_timer(DETAIL_PAUSE_S, lambda: self._show_record(row))

    def _show_record(self, row: RecordRow | None) -> None:
        if row is None:
            self.query_one("#detail").border_title = "Record"
            self.query_one("#record", Static).update("")
            return
        spawn(self, partial(self._read_record, row), group="record", exclusive=True)

    async def _read_record(self, row: RecordRow) -> None:
        try:
            found = await self.workshop.reader.quick.ask(record.read, row.id)
        except (AugtuiError, sqlite3.Error) as error:
            self.workshop.complain(error)
            return
        if found is not None:
            self.query_one("#detail").border_title = Content(f"Record {row.number:,}")
            self.query_one("#record", Static).update(record.detail(*found))

    def on_records_table_opened(self, event: RecordsTable.Opened) -> None:
        """Show the whole record."""
        spawn(self, partial(self._open, event.row))

    async def _open(self, row: RecordRow) -> None:
        found = await self.workshop.reader.quick.ask(record.read, row.id)
        if found is not None:
            await self.app.push_screen(
                Reading(f"Record {row.number:,}", record.detail(*found), copied=found[0].instruction),
                wait_for_dismiss=False,
            )

    def on_records_table_broken(self, event: RecordsTable.Broken) -> None:
        """Tell what could not be read."""
        self.workshop.complain(event.error)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now."""
        if action == "resume":
            return bool(self._interrupted)
        if action == "example":
            return self._empty
        if action in ("find", "filter", "copy", "try") or parameters == ("export",):
            return not self._empty
        return True

    # -- keys --------------------------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search once the keys rest."""
        if self._search is not None:
            self._search.stop()
        self._search = self.set_timer(SEARCH_PAUSE_S, self._search_now)

    def on_input_submitted(self) -> None:
        """Go from the search to what it found."""
        self.query_one(RecordsTable).focus()

    def _search_now(self) -> None:
        text = self.query_one("#find", Input).value
        if text != self._filter.text:
            self._filter = Filter(text, self._filter.state, self._filter.task, self._filter.language, self._filter.run)
            self._list(keep_place=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Offer the step."""
        spawn(self, partial(self._offer, self._steps[event.option_index]))

    def action_find(self) -> None:
        """Write a search."""
        self.query_one("#find").focus()

    def action_clear(self) -> None:
        """Forget search and filter."""
        with self.prevent(Input.Changed):
            self.query_one("#find", Input).value = ""
        self.query_one(RecordsTable).focus()
        if self._filter:
            self._filter = Filter()
            self._list(keep_place=False)

    def action_filter(self) -> None:
        """Choose which records are listed."""
        spawn(self, self._choose_filter)

    async def _choose_filter(self) -> None:
        offered = Filters(self._filter, sorted(self._counts), self._languages, self._runs)
        chosen = await self.app.push_screen_wait(offered)
        if chosen is not None and chosen != self._filter:
            self._filter = chosen
            self._list(keep_place=False)

    def action_command(self, name: str) -> None:
        """Offer a command on the project."""
        command = self.workshop.catalogue.get(name)
        if command is not None:
            spawn(self, partial(self.workshop.offer, command))

    def action_run(self) -> None:
        """Offer the step under the cursor."""
        place = self.query_one("#steps", OptionList).highlighted
        if self._steps:
            spawn(self, partial(self._offer, self._steps[place or 0]))

    def action_copy(self) -> None:
        """Copy the instruction under the cursor."""
        row = self.query_one(RecordsTable).row
        if row is not None:
            spawn(self, partial(self._copy, row))

    def action_try(self) -> None:
        """Try a model out on the record under the cursor."""
        row = self.query_one(RecordsTable).row
        if row is not None:
            spawn(self, partial(self.workshop.try_out, row.id))

    async def _copy(self, row: RecordRow) -> None:
        found = await self.workshop.reader.quick.ask(dataset.get, row.id)
        if found is not None:
            self.app.copy_to_clipboard(found.instruction)
            self.notify(f"Copied the instruction of record {row.number:,}.", markup=False)

    def action_resume(self) -> None:
        """Take up the run that was interrupted last."""
        if not self._interrupted:
            self.notify("No run was interrupted.", markup=False)
            return
        self.workshop.take_up(self._interrupted[0][0])

    def action_example(self) -> None:
        """Make the example, and offer to refine it."""
        command = self.workshop.catalogue.get("refine")
        if command is not None:
            spawn(self, partial(self._example, command))

    async def _example(self, command: Command) -> None:
        path = locations.home() / "examples" / "prompts.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with WholeFile(path) as file:
                file.write("\n".join(PROMPTS) + "\n")
        except (OSError, AugtuiError) as error:
            self.workshop.complain(error)
            return
        job = await self.workshop.offer(
            command,
            {"file": str(path)},
            estimate=f"{len(PROMPTS)} prompts; on a laptop the default model needs less than a minute.",
            start=True,
        )
        if job is not None:
            self.workshop.action_show("batch")

    async def _offer(self, name: str) -> None:
        command = self.workshop.catalogue.get(name)
        if command is None:
            self.notify(f"This augtui has no command {visible(name)}.", severity="warning", markup=False)
            return
        await self.workshop.offer_step(command, self._filter)


def _interrupted(project: Project) -> list[tuple[RunRow, int]]:
    """Return the runs that can be taken up again and how many items each has left, the newest first."""
    found = [run for run in runs.list_runs(project) if run.status == "interrupted"]
    return [(run, runs.counts(project, run.id)["pending"]) for run in found[:20]]


def _described(wanted: Filter) -> str:
    parts = [
        wanted.state or "",
        visible(wanted.task or ""),
        visible(wanted.language or ""),
        "" if wanted.run is None else f"run {wanted.run}",
        excerpt(f'"{wanted.text}"', 30) if wanted.text.strip() else "",
    ]
    return " · ".join(part for part in parts if part)
