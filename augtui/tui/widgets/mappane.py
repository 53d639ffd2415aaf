"""The map of the records: a scatter of clusters to walk in, their list with figures, and the records of one of them."""

from __future__ import annotations

import importlib.util
import sqlite3
from array import array
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from augtui.domain.visible import excerpt, visible
from augtui.metrics import clusters as metrics
from augtui.metrics.clusters import ORDERS, Figures
from augtui.store import listings, maps, pruning
from augtui.store.listings import Filter
from augtui.store.maps import State
from augtui.store.projects import Project
from augtui.tui import record
from augtui.tui.jobs import Job
from augtui.tui.screens.dialogs import Choice, Prompt, Question, Reading
from augtui.tui.tasks import spawn
from augtui.tui.text import Piece, assemble, line
from augtui.tui.widgets.records import RecordsTable
from augtui.tui.widgets.scatter import Cloud, Scatter, sign

if TYPE_CHECKING:
    from augtui.tui.app import Workshop

READING = 100
"""Columns of a box of lines to read."""
STAY = 10
"""Records that stay of a cluster unless one says otherwise."""
DRAWN = 200_000
"""Points that are drawn at most: of more, an even part."""
LOOK_S = 0.25
MAKES = ("clusters", "map")


@dataclass(frozen=True, slots=True)
class Atlas:
    """What has been read of a map."""

    state: State
    later: int
    """Records that are not in it."""
    listed: list[Figures]
    """All clusters by their numbers."""
    cluster: array[int]
    """Of each point that is drawn, the innermost one."""
    x: array[float]
    y: array[float]
    gone: array[int]
    """1 where a person has rejected the record."""


def read(project: Project) -> Atlas | None:
    """Read a project's map, None where there is none."""
    state = maps.state(project)
    if state is None:
        return None
    rows = maps.places(project, pruning.REJECTED, DRAWN)
    return Atlas(
        state,
        maps.fresh(project, state),
        metrics.figures(project),
        array("i", (row[0] for row in rows)),
        array("f", (row[1] for row in rows)),
        array("f", (row[2] for row in rows)),
        array("b", (row[3] for row in rows)),
    )


class MapPane(Vertical):
    """Clusters to look into, to prune and to expand."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "enter", "Enter", id="map.enter"),
        Binding("escape,backspace", "leave", "Back", id="map.leave"),
        Binding("i", "inspect", "Inspect", id="map.inspect"),
        Binding("d", "prune", "Prune", id="map.prune"),
        Binding("e", "expand", "Expand", id="map.expand"),
        Binding("u", "undo", "Undo", id="map.undo"),
        Binding("o", "order", "Order", id="map.order"),
        Binding("m", "make(False)", "Make map", id="map.make"),
        Binding("M", "make(True)", "Make anew", show=False, id="map.renew"),
        Binding("w", "letters", "Letters", show=False, id="map.letters"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        """Begin at the top, the largest cluster first."""
        super().__init__(id=id)
        self._atlas: Atlas | None = None
        self._inside: int | None = None
        """The cluster that was entered; None at the top."""
        self._shown: list[Figures] = []
        self._order = ORDERS[0]
        self._place = 0
        self._job: Job | None = None

    @property
    def workshop(self) -> Workshop:
        """Return the app."""
        return cast("Workshop", self.app)

    def compose(self) -> ComposeResult:
        """Put the list beside the scatter, the records below."""
        yield Static(id="map-notice", markup=False)
        with Horizontal(id="map-top"):
            yield Scatter(id="scatter")
            with Vertical(id="map-side"):
                yield OptionList(id="clusters", markup=False, compact=True)
                yield Static(id="cluster-facts", markup=False)
        yield RecordsTable(id="cluster-records")

    def on_mount(self) -> None:
        """Look for the job that makes the map."""
        self.set_interval(LOOK_S, self._look)
        self.query_one("#map-top").display = False
        self.query_one(RecordsTable).display = False

    # -- reading -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Forget what was read: another project is open."""
        self._atlas, self._inside, self._place, self._shown = None, None, 0, []
        self.reload()

    def reload(self) -> None:
        """Read the map again, and stay where one is."""
        if self.display:
            spawn(self, self._load, group="map", exclusive=True)

    async def _load(self) -> None:
        reader = self.workshop.reader
        try:
            atlas = await reader.slow.ask(read)
        except sqlite3.OperationalError:
            return  # a search has interrupted it
        if reader is not self.workshop.reader:
            return
        made = self._atlas is None or atlas is None or self._atlas.state.made_at != atlas.state.made_at
        self._atlas = atlas
        if made:
            self._inside, self._place = None, 0
        self._arrange()

    def _look(self) -> None:
        """Tell how far the making is."""
        if not self.display:
            return
        job = next((job for job in reversed(self.workshop.jobs.all) if tuple(job.arguments[:2]) == MAKES), None)
        if job is not None and job.ended is None:
            far = f" {job.done:,}/{job.total:,}" if job.total else ""
            saying = visible(job.saying) or ("waits for other work" if job.status == "waiting" else "starting")
            self._subtitle(f"making the map: {saying}{far}")
            self._job = job
            if self._atlas is None:
                self._tell()
        elif self._job is not None:
            self._job = None
            self.reload()

    # -- showing -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Show the clusters of the level that one is at."""
        atlas = self._atlas
        known = atlas is not None and bool(atlas.listed)
        self.query_one("#map-top").display = known
        self.query_one(RecordsTable).display = known and self._inside is not None
        self._tell()
        self.refresh_bindings()
        if atlas is None or not known:
            return
        level = [one for one in atlas.listed if one.cluster.parent == self._inside]
        entered = None if self._inside is None else atlas.listed[self._inside]
        self._shown = metrics.ordered(level, self._order, all_levels=True) if level else [entered] if entered else []
        self._place = min(max(0, self._place), len(self._shown) - 1)
        self.query_one(Scatter).show(self._cloud(atlas, entered), self._place)
        self._list()
        self.call_after_refresh(self._list)  # now the list knows its width

    def _list(self) -> None:
        options = self.query_one("#clusters", OptionList)
        width = max(16, options.scrollable_content_region.width or 30)
        with self.prevent(OptionList.OptionHighlighted):
            options.clear_options()
            options.add_options(Option(self._row(place, one, width)) for place, one in enumerate(self._shown))
            options.highlighted = self._place if self._shown else None
        self._facts()

    def on_resize(self) -> None:
        """Fit the list to the new width."""
        if self._shown:
            self.call_after_refresh(self._list)

    def _row(self, place: int, one: Figures, width: int) -> Content:
        value = {
            "size": f"{one.cluster.size:,}",
            "sparse": f"{one.cluster.density:.2f}",
            "acceptance": "–" if one.acceptance is None else f"{100 * one.acceptance:.0f}%",
            "duplicates": f"{100 * one.duplicates:.1f}%",
        }[self._order]
        gone = "✗" if one.rejected == one.cluster.size else ""
        room = max(6, width - len(value) - len(gone) - 4)
        name = excerpt(one.cluster.name, room)
        padding = " " * max(1, width - 3 - Content(name).cell_length - len(value) - len(gone) - 1)
        scatter = self.query_one(Scatter)
        colour = "bold" if scatter.uses_letters else f"bold {scatter.colour(place).hex}"
        return assemble([(f"{sign(place)} ", colour), f"{name}{padding}", (f"{gone}{value}", "$foreground-muted")])

    def _cloud(self, atlas: Atlas, entered: Figures | None) -> Cloud:
        import numpy as np

        cluster = np.frombuffer(atlas.cluster, dtype=np.int32)
        x, y = np.frombuffer(atlas.x, dtype=np.float32), np.frombuffer(atlas.y, dtype=np.float32)
        # Every inner cluster's place in the list, by number.
        group_of = np.full(len(atlas.listed) + 1, -1, dtype=np.int32)
        for place, one in enumerate(self._shown):
            group_of[one.cluster.number : one.cluster.last + 1] = place
        group = group_of[cluster]
        group[np.frombuffer(atlas.gone, dtype=np.int8) > 0] = -1
        if entered is not None:
            here = (cluster >= entered.cluster.number) & (cluster <= entered.cluster.last)
            x, y, group = x[here], y[here], group[here]
        return Cloud(
            x,
            y,
            group,
            [one.cluster.name for one in self._shown],
            [(one.cluster.x, one.cluster.y) for one in self._shown],
        )

    def _facts(self) -> None:
        one = self.target
        if one is None:
            self.query_one("#cluster-facts", Static).update("")
            return
        self.query_one("#cluster-facts", Static).update(facts(one, brief=self.screen.has_class("-low")))

    def _tell(self) -> None:
        """Show where one is, and what there is to say of the map."""
        atlas, notice = self._atlas, self.query_one("#map-notice", Static)
        box = self.screen.query_one("#figure")
        notice.display = atlas is None or not atlas.listed or bool(atlas.later)
        key = ("m", "bold $accent")
        if atlas is None:
            box.border_title = Content("Map")
            if self._job is not None:
                notice.update(Content("The map is being made; what is done elsewhere goes on."))
            elif importlib.util.find_spec("sklearn") is None:
                notice.update(Content("A map needs scikit-learn and openTSNE: pip install 'augtui[map]'"))
            else:
                notice.update(assemble(["No map yet. ", key, " makes it: records that are alike stand together."]))
            return
        box.border_title = assemble(self._way(atlas))
        if self._job is None:
            self._subtitle(f"by {self._order}" if atlas.listed else "")
        if not atlas.listed:
            notice.update(Content("No records yet: a map needs some."))
        elif atlas.later:
            notice.update(assemble([f"{atlas.later:,} later records are not in the map. ", key, " puts them in."]))

    def _way(self, atlas: Atlas) -> list[Piece | Content]:
        pieces: list[Piece | Content] = [f"Map {atlas.state.records:,}"]
        number, way = self._inside, list[Figures]()
        while number is not None:
            way.append(atlas.listed[number])
            number = way[-1].cluster.parent
        for one in reversed(way):
            pieces += [(" › ", "$foreground-muted"), line(f"{one.cluster.path} {one.cluster.name}", 34)]
        return pieces

    def _subtitle(self, text: str) -> None:
        self.screen.query_one("#figure").border_subtitle = Content(text)

    # -- going -------------------------------------------------------------------------------------------------------

    @property
    def target(self) -> Figures | None:
        """Return the cluster under the cursor."""
        return self._shown[self._place] if 0 <= self._place < len(self._shown) else None

    def enter_pane(self) -> None:
        """Put the cursor into the map."""
        if self._atlas is not None and self._atlas.listed:
            self.query_one(Scatter).focus()

    def on_scatter_chosen(self, event: Scatter.Chosen) -> None:
        """Follow the cursor of the scatter."""
        event.stop()
        self._choose(event.place)
        if event.entered:
            self.action_enter()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Follow the cursor of the list."""
        event.stop()
        if event.option_index != self._place:
            self._choose(event.option_index)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter the cluster."""
        event.stop()
        self._choose(event.option_index)
        self.action_enter()

    def _choose(self, place: int) -> None:
        self._place = place
        self.query_one(Scatter).choose(place)
        options = self.query_one("#clusters", OptionList)
        if options.highlighted != place:
            with self.prevent(OptionList.OptionHighlighted):
                options.highlighted = place
        self._facts()
        self.refresh_bindings()

    def action_enter(self) -> None:
        """Enter the cluster: its clusters, and its records below."""
        one = self.target
        if one is None or one.cluster.number == self._inside:
            self.query_one(RecordsTable).focus()  # nothing is inside but records
            return
        self._inside, self._place = one.cluster.number, 0
        self._arrange()
        self._records(one)

    def action_leave(self) -> None:
        """Go back to the cluster around this one, or to the list of figures."""
        if self.query_one(RecordsTable).has_focus:
            self.query_one(Scatter).focus()
            return
        if self._inside is None or self._atlas is None:
            self.screen.query_one("#plots").remove_class("-inside")
            self.screen.query_one("#figure-names").focus()
            return
        left, self._inside = self._inside, self._atlas.listed[self._inside].cluster.parent
        self._place = 0
        self._arrange()
        numbers = [one.cluster.number for one in self._shown]
        self._choose(numbers.index(left) if left in numbers else 0)
        if self._inside is not None:
            self._records(self._atlas.listed[self._inside])

    def _records(self, one: Figures, *, keep_place: bool = False) -> None:
        spawn(self, partial(self._list_records, one, keep_place), group="cluster", exclusive=True)

    async def _list_records(self, one: Figures, keep_place: bool) -> None:
        reader = self.workshop.reader
        try:
            listing = await reader.slow.ask(listings.listing, Filter(cluster=one.cluster.path))
        except sqlite3.OperationalError:
            return
        if reader is self.workshop.reader and self._inside == one.cluster.number:
            self.query_one(RecordsTable).show(reader.quick, listing, keep_place=keep_place)

    def on_records_table_highlighted(self, event: RecordsTable.Highlighted) -> None:
        """Leave the figures: they are of the cluster."""
        event.stop()

    def on_records_table_opened(self, event: RecordsTable.Opened) -> None:
        """Show the whole record."""
        event.stop()
        spawn(self, partial(self._open, event.row.id))

    def on_records_table_broken(self, event: RecordsTable.Broken) -> None:
        """Tell what could not be read."""
        event.stop()
        self.workshop.complain(event.error)

    async def _open(self, record_id: str) -> None:
        found = await self.workshop.reader.quick.ask(record.read, record_id)
        if found is not None:
            one = Reading(f"Record {found[0].number:,}", record.detail(*found), copied=found[0].instruction)
            await self.app.push_screen(one, wait_for_dismiss=False)

    # -- doing -------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now."""
        if action in ("enter", "inspect", "prune", "expand", "order", "letters"):
            return self.target is not None
        return True

    def action_inspect(self) -> None:
        """Show the record under the cursor, or the cluster with its most central records."""
        table = self.query_one(RecordsTable)
        if table.has_focus and table.row is not None:
            spawn(self, partial(self._open, table.row.id))
        elif self.target is not None:
            spawn(self, partial(self._inspect, self.target))

    async def _inspect(self, one: Figures) -> None:
        rows = await self.workshop.reader.quick.ask(_examples, one)
        width = min(READING, int(0.95 * self.app.size.width)) - 17  # the box's frame, and the numbers
        pieces: list[Piece | Content] = [facts(one), ("\n\nmost central\n", "$foreground-muted")]
        for number, text in rows:
            pieces += [(f"{number:>8,}  ", "$foreground-muted"), line(text, width), "\n"]
        title = f"Cluster {one.cluster.path}: {excerpt(one.cluster.name, 60)}"
        await self.app.push_screen(Reading(title, assemble(pieces)), wait_for_dismiss=False)

    def action_order(self) -> None:
        """Order the list otherwise."""
        one = self.target
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._arrange()
        if one is not None:
            numbers = [other.cluster.number for other in self._shown]
            self._choose(numbers.index(one.cluster.number))

    def action_letters(self) -> None:
        """Draw a letter for each cluster, or dots."""
        scatter = self.query_one(Scatter)
        scatter.letters = not scatter.letters
        self._list()
        scatter.refresh()

    def action_make(self, anew: bool) -> None:
        """Make the map, or put later records into it."""
        if self._job is not None:
            self.notify("The map is being made.", markup=False)
            return
        command = self.workshop.catalogue.get(" ".join(MAKES))
        if command is not None:
            values: dict[str, str | bool | None] = {"project": self.workshop.project_argument, "renew": anew}
            self.workshop.launch(command.arguments(values), command.name)
            self._look()

    def action_expand(self) -> None:
        """Offer to expand the cluster's records."""
        command = self.workshop.catalogue.get("expand")
        if self.target is not None and command is not None:
            wanted = Filter(cluster=self.target.cluster.path, kept=True)
            spawn(self, partial(self.workshop.offer_step, command, wanted))

    def action_prune(self) -> None:
        """Reject the cluster's records, or some of them, after a question."""
        if self.target is not None:
            spawn(self, partial(self._reject, self.target))

    async def _reject(self, one: Figures) -> None:
        cluster = one.cluster
        left = cluster.size - one.rejected
        options = [
            ("all", f"All of its {left:,} records"),
            ("central", "All but the most central ones"),
            ("repeats", "Those that nearly repeat another record of it"),
        ]
        what = await self.app.push_screen_wait(Choice(f"Prune cluster {cluster.path}", options))
        if what is None:
            return
        keep: int | None = None
        if what == "central":
            said = await self.app.push_screen_wait(
                Prompt("Prune", "How many stay, the most central first?", value=str(STAY))
            )
            if said is None:
                return
            if not said.strip().isdecimal() or not said.isascii():
                self.notify("That is no number.", severity="warning", markup=False)
                return
            keep = int(said)
        reader = self.workshop.reader
        repeats = what == "repeats"
        numbers = await reader.slow.ask(metrics.prunable, cluster, keep=keep, duplicates=repeats)
        if not numbers:
            self.notify("There is nothing to reject.", markup=False)
            return
        text = assemble(
            [
                f"Reject {len(numbers):,} of the {cluster.size:,} records of cluster {cluster.path} (",
                line(cluster.name, 50),
                ")? Exports and training sets leave them out. Nothing is deleted; ",
                ("u", "bold $accent"),
                " takes it back.",
            ]
        )
        question = Question("Prune", text, yes=f"Reject {len(numbers):,}", no="Cancel")
        if not await self.app.push_screen_wait(question):
            return
        why = metrics.why(cluster, keep=keep, duplicates=repeats)
        count = await reader.hands.ask(pruning.prune, numbers, why, self.workshop.reviewer)
        self.notify(f"{count:,} records rejected. u takes it back.", markup=False)
        await self._again()

    def action_undo(self) -> None:
        """Take one's newest pruning back."""
        spawn(self, self._undo)

    async def _undo(self) -> None:
        taken = await self.workshop.reader.hands.ask(pruning.undo, self.workshop.reviewer)
        if taken is None:
            self.notify("There is no pruning of yours to take back.", markup=False)
            return
        self.notify(f"Took {taken.count:,} verdicts back ({visible(taken.reason)}).", markup=False)
        await self._again()

    async def _again(self) -> None:
        await self._load()
        if self._inside is not None and self._atlas is not None:
            self._records(self._atlas.listed[self._inside], keep_place=True)


def facts(one: Figures, *, brief: bool = False) -> Content:
    """Return a cluster's figures in words."""
    cluster = one.cluster
    accepted = "–" if one.acceptance is None else f"{100 * one.acceptance:.0f}% of {one.settled:,}"
    rows = [
        ("cluster", cluster.path + (f", {one.children} inside" if one.children else "")),
        ("records", f"{cluster.size:,}, {100 * one.share:.1f}%"),
        ("density", f"{cluster.density:.2f}"),
        ("accepted", accepted),
        ("words", f"{cluster.length:.0f} on average"),
        ("repeats", f"{cluster.duplicates:,}, {100 * one.duplicates:.1f}%"),
    ]
    if one.rejected:
        rows.append(("rejected", f"{one.rejected:,}"))
    if brief:
        return assemble(
            [
                f"{cluster.path} · {cluster.size:,} · {100 * one.share:.1f}%\n",
                (f"density {cluster.density:.2f}", "$foreground-muted"),
                (f" · rejected {one.rejected:,}" if one.rejected else "", "$foreground-muted"),
            ]
        )
    pieces: list[Piece | Content] = []
    for place, (name, value) in enumerate(rows):
        pieces += ["\n" if place else "", (f"{name:<9}", "$foreground-muted"), value]
    return assemble(pieces)


def _examples(project: Project, one: Figures) -> list[tuple[int, str]]:
    found = []
    for number in one.cluster.examples:
        rows = project.read("SELECT instruction FROM records WHERE number = ?", (number,))
        found += [(number, str(row[0])) for row in rows]
    return found
