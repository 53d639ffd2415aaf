"""3 Review: a result beside its original, and a person's verdict, saved at once and never final."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, get_args

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static, TextArea

from augtui.domain.visible import excerpt, restored, visible
from augtui.metrics.similarity import rouge_l
from augtui.store import judging, pruning, runs
from augtui.store.judging import Candidate, Order
from augtui.store.projects import Project
from augtui.store.runs import ItemStatus, RunRow
from augtui.tui.screens.dialogs import Choice, Prompt, Question
from augtui.tui.screens.workbench import Workbench
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble, merged, plain, sides

VIEWS = ("side by side", "in one", "plain")
BULK = 10_000
PATIENCE_S = 1.0
"""How long a verdict may take before one is told why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be judged, and in which order."""

    order: Order = "uncertain"
    run: int | None = None
    task: str | None = None
    status: ItemStatus | None = None
    reason: str | None = None
    reviewed: bool = False

    def __str__(self) -> str:
        """Return it in a few words."""
        parts = [
            {"uncertain": "uncertain first", "input": "as they came", "newest": "newest first"}[self.order],
            "" if self.run is None else f"run {self.run}",
            visible(self.task or ""),
            (self.status or "").replace("_", " "),
            excerpt(self.reason or "", 30),
            "judged too" if self.reviewed else "",
        ]
        return " · ".join(part for part in parts if part)


class Review(Workbench):
    """One result at a time."""

    MODE = "review"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "Accept", id="review.accept"),
        Binding("e", "edit", "Edit", id="review.edit"),
        Binding("d", "reject", "Reject", id="review.reject"),
        Binding("s", "skip", "Skip", id="review.skip"),
        Binding("u", "undo", "Undo", id="review.undo"),
        Binding("w", "view", "View", id="review.view"),
        Binding("f", "filter", "Filter", id="review.filter"),
        Binding("j,right", "step(1)", "Next", show=False, id="review.next"),
        Binding("k,left", "step(-1)", "Back", show=False, id="review.back"),
        Binding("E", "editor", "Edit in $EDITOR", show=False, id="review.editor"),
        Binding("A", "accept_all", "Accept all", show=False, id="review.accept_all"),
        Binding("t", "try", "Try out", show=False, id="review.try"),
        Binding("y", "copy", "Copy result", show=False, id="review.copy"),
        Binding("ctrl+s", "save", "Save", id="review.save"),
        Binding("escape", "cancel", "Cancel edit", id="review.cancel"),
    ]

    def __init__(self) -> None:
        """Begin with what is uncertain."""
        super().__init__()
        self._wanted = Wanted()
        self._items: list[int] = []
        self._place = 0
        self._loads = 0
        self._shown: Candidate | None = None
        self._view = 0
        self._judging = asyncio.Lock()
        self._done = 0
        self._editing = False

    def body(self) -> ComposeResult:
        """Put original and result side by side, and what is known of them below."""
        with Vertical(id="review"):
            yield Static(id="question", markup=False)
            with Horizontal(id="texts"):
                with VerticalScroll(id="original", classes="pane", can_focus=True) as box:
                    box.border_title = "original"
                    yield Static(id="old", markup=False)
                with VerticalScroll(id="result", classes="pane", can_focus=True) as box:
                    box.border_title = "result"
                    yield Static(id="new", markup=False)
                    yield TextArea(id="editor", soft_wrap=True, compact=True)
            yield Static(id="facts", markup=False)

    def on_mount(self) -> None:
        """Read what is to be judged."""
        self.query_one("#editor").display = False
        self.query_one("#result").focus()
        self.project_changed()

    def project_changed(self) -> None:
        """Read what is to be judged in another project."""
        self._wanted, self._done = Wanted(), 0
        self._close_editor()
        spawn(self, self._load, group="load", exclusive=True)

    def refresh_body(self) -> None:
        """Look for new results, unless somebody is at work on one."""
        if not self._editing and (self._shown is None or self._done == 0):
            spawn(self, self._load, group="load", exclusive=True)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        wanted = self._wanted
        self._loads += 1
        load = self._loads
        items = await self.workshop.reader.slow.ask(
            judging.candidates,
            order=wanted.order,
            run=wanted.run,
            task=wanted.task,
            status=wanted.status,
            reason=wanted.reason,
            reviewed=wanted.reviewed,
            limit=BULK,
        )
        if load == self._loads:  # else a later one knows more
            self._items, self._place = items, 0
            await self._show()

    async def _show(self) -> None:
        self._place = min(max(0, self._place), max(0, len(self._items) - 1))
        self._shown = None
        if self._items:
            asked = self._items[self._place]
            one = await self.workshop.reader.quick.ask(judging.candidate, asked)
            if self._items[self._place : self._place + 1] != [asked]:
                return  # the list has changed meanwhile, and whoever changed it shows it
            self._shown = one
        self._draw()

    def _draw(self) -> None:
        question, facts = self.query_one("#question", Static), self.query_one("#facts", Static)
        one = self._shown
        self.query_one("#texts").display = one is not None
        if one is None:
            question.update(
                assemble(
                    [
                        ("Nothing to judge.\n\n", "bold"),
                        f"{self._done:,} judged in this session. " if self._done else "",
                        ("r", "bold $accent"),
                        " on Home or Batch makes results; ",
                        ("f", "bold $accent"),
                        " chooses others.",
                    ]
                )
            )
            facts.update("")
            self.refresh_bindings()
            return
        number = f"{self._place + 1:,}/{len(self._items):,}{'+' if len(self._items) == BULK else ''}"
        question.update(
            assemble(
                [
                    (f"{visible(one.task)} ", "bold"),
                    f"{number}  ",
                    (str(self._wanted), "$foreground-muted"),
                    *_asked(one),
                ]
            )
        )
        text = one.text or ""
        old, new = self.query_one("#old", Static), self.query_one("#new", Static)
        self.query_one("#original").display = VIEWS[self._view] != "in one"
        if VIEWS[self._view] == "in one":
            new.update(merged(one.original, text))
        elif VIEWS[self._view] == "plain":
            old.update(plain(one.original))
            new.update(plain(text))
        else:
            left, right = sides(one.original, text)
            old.update(left)
            new.update(right)
        if one.response:
            new.update(assemble([plain(text), ("\n\nresponse\n", "$foreground-muted"), plain(one.response)]))
        facts.update(self._facts(one))
        for pane in ("#original", "#result"):
            self.query_one(pane).scroll_home(animate=False)
        self.refresh_bindings()

    def _facts(self, one: Candidate) -> Content:
        before, after = len(one.original.split()), len((one.text or "").split())
        guard = "ok" if one.reason is None else excerpt(one.reason, 70)
        pieces: list[str | tuple[str, str] | Content] = [
            ("guard ", "$foreground-muted"),
            (guard, "$success" if one.reason is None else "$warning"),
            (" · similarity ", "$foreground-muted"),
            f"{rouge_l(one.original[:4000], (one.text or '')[:4000]):.2f}",
            (" · ", "$foreground-muted"),
            f"{after - before:+,} words",
            (" · tries ", "$foreground-muted"),
            f"{one.tries}",
            (f" · {visible(one.template or '')} · {excerpt(one.model or '', 30)}", "$foreground-muted"),
            ("" if one.run_id is None else f" · run {one.run_id}", "$foreground-muted"),
        ]
        return assemble(pieces)

    # -- verdicts ----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now: while a text is edited, only to save or to leave it."""
        if action in ("save", "cancel"):
            return self._editing
        own = {"accept", "edit", "reject", "skip", "view", "step", "editor", "copy", "try"}
        own |= {"undo", "filter", "accept_all"}
        if self._editing and (action in own or action == "show"):
            return False
        if action in own - {"undo", "filter"}:
            return self._shown is not None
        return True

    def action_accept(self) -> None:
        """Accept the result."""
        by = self.workshop.reviewer
        spawn(self, partial(self._judge, lambda project, item: judging.accept(project, [item], by=by)))

    def action_reject(self) -> None:
        """Reject the result, with a reason if one likes."""
        spawn(self, self._reject)

    async def _reject(self) -> None:
        known = [kind for kind, _ in await self.workshop.reader.quick.ask(judging.reasons)][:3]
        hint = f"such as: {', '.join(visible(kind) for kind in known)}" if known else ""
        reason = await self.app.push_screen_wait(
            Prompt("Reject", Content("Why? Enter without a word rejects without a reason."), placeholder=hint)
        )
        if reason is not None:
            by = self.workshop.reviewer
            await self._judge(lambda project, item: judging.reject(project, item, reason.strip() or None, by=by))

    async def _judge(self, verdict: object) -> None:
        async with self._judging:
            one = self._shown
            if one is None:
                return
            waits = self.set_timer(PATIENCE_S, self._tell_of_waiting)
            try:
                await self.workshop.reader.hands.ask(verdict, one.item)  # type: ignore[arg-type]
            finally:
                waits.stop()
            self._done += 1
            if self._wanted.reviewed:
                self._place += 1
            else:
                self._items.remove(one.item)
            await self._show()

    def _tell_of_waiting(self) -> None:
        self.notify("Another process holds the project; the verdict is saved as soon as it can be.", markup=False)

    def action_skip(self) -> None:
        """Leave the result for later: it goes to the end."""
        if self._shown is not None and self._items:
            self._items.append(self._items.pop(self._place))
            spawn(self, self._show)

    def action_undo(self) -> None:
        """Take one's newest verdict back and show its result."""
        spawn(self, self._undo)

    async def _undo(self) -> None:
        async with self._judging:
            taken = await self.workshop.reader.hands.ask(pruning.undo, self.workshop.reviewer, only_last=True)
            if taken is not None:
                self.notify(f"Took back the pruning of {taken.count:,} records.", markup=False)
                await self._load()
                return
            undone = await self.workshop.reader.hands.ask(judging.undo, self.workshop.reviewer)
            if undone is None:
                self.notify("There is no verdict of yours to take back.", markup=False)
                return
            item = undone.item
            if undone.is_of_session:
                self._done = max(0, self._done - 1)
            else:
                whose = "Nobody signed that verdict" if undone.reviewer is None else "Of an earlier session of yours"
                self.notify(f"{whose}: {visible(undone.created_at[:16])}.", markup=False)
            if item in self._items:
                self._place = self._items.index(item)
            else:
                self._items.insert(self._place, item)
            await self._show()

    def action_step(self, by: int) -> None:
        """Look at another result."""
        self._place += by
        spawn(self, self._show, group="step", exclusive=True)

    def action_view(self) -> None:
        """Show the difference otherwise."""
        self._view = (self._view + 1) % len(VIEWS)
        self._draw()
        self.notify(VIEWS[self._view], markup=False, timeout=1.5)

    def action_copy(self) -> None:
        """Copy the result."""
        if self._shown is not None:
            self.app.copy_to_clipboard(self._shown.text or "")
            self.notify("Copied the result.", markup=False)

    def action_try(self) -> None:
        """Try a model out on the original."""
        if self._shown is not None:
            spawn(self, partial(self.workshop.try_out, self._shown.record_id))

    def action_accept_all(self) -> None:
        """Accept everything that is listed, after a question."""
        spawn(self, self._accept_all)

    async def _accept_all(self) -> None:
        items = list(self._items)
        text = assemble(
            [f"Accept all {len(items):,} results that are listed ({self._wanted})? ", "Each can be taken back with u."]
        )
        if await self.app.push_screen_wait(Question("Accept all", text, yes=f"Accept {len(items):,}", no="Cancel")):
            count = await self.workshop.reader.hands.ask(judging.accept, items, by=self.workshop.reviewer)
            self._done += count
            self.notify(f"{count:,} accepted. u takes them back one by one.", markup=False)
            await self._load()

    # -- editing -----------------------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Edit the result in its place."""
        one = self._shown
        if one is None:
            return
        self._editing = True
        editor = self.query_one("#editor", TextArea)
        editor.load_text(visible(one.text or "", newline="\n"))
        editor.display = True
        self.query_one("#new").display = False
        self.query_one("#result").border_subtitle = "editing: ^s saves, esc leaves"
        editor.focus()
        editor.move_cursor(editor.document.end)
        self.refresh_bindings()

    def action_save(self) -> None:
        """Save the edited text as a new record."""
        one = self._shown
        if one is not None:
            text = restored(self.query_one("#editor", TextArea).text, one.text or "")
            self._close_editor()
            self._save(one, text)

    def _save(self, one: Candidate, text: str) -> None:
        if text == (one.text or ""):
            self.notify("Nothing was changed.", markup=False)
            return
        by = self.workshop.reviewer
        spawn(self, partial(self._judge, lambda project, item: judging.edit(project, item, text, by=by)))

    def action_cancel(self) -> None:
        """Leave the editor without saving."""
        self._close_editor()

    def _close_editor(self) -> None:
        self._editing = False
        self.query_one("#editor").display = False
        self.query_one("#new").display = True
        box = self.query_one("#result")
        box.border_subtitle = ""
        box.focus()
        self.refresh_bindings()

    def action_editor(self) -> None:
        """Edit the result in the user's own editor."""
        one = self._shown
        if one is None:
            return
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="augtui-") as folder:
            path = Path(folder) / "result.txt"
            path.write_text(one.text or "", "utf-8", "replace")
            before = path.read_text("utf-8")
            try:
                with self.app.suspend():
                    code = subprocess.call([*shlex.split(editor), str(path)])
                text = path.read_text("utf-8", "replace")
            except SuspendNotSupported:
                self.notify(
                    "This terminal cannot be lent to an editor; e edits here.", severity="warning", markup=False
                )
                return
            except (OSError, ValueError) as error:
                self.notify(
                    f"{visible(editor)} cannot be started: {visible(str(error))}\nSet EDITOR to one that can.",
                    severity="error",
                    markup=False,
                )
                return
        if code != 0:
            self.notify(f"{visible(editor)} ended with {code}; nothing was changed.", severity="warning", markup=False)
            return
        # Editors end a file with a line feed of their own.
        self._save(one, text if before.endswith("\n") else text.removesuffix("\n"))

    # -- filter ------------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Choose what is to be judged."""
        spawn(self, self._filter)

    async def _filter(self) -> None:
        known = await self.workshop.reader.slow.ask(_offers)
        options: list[tuple[str, Content]] = []
        choices: list[Wanted] = []

        def offer(wanted: Wanted, shown: str) -> None:
            choices.append(wanted)
            options.append((str(len(choices) - 1), Content(shown)))

        offer(Wanted(), "all, uncertain first")
        offer(Wanted("input"), "all, as they came")
        offer(Wanted("newest"), "all, newest first")
        for status in get_args(ItemStatus):
            if status != "pending":
                offer(Wanted(status=status), f"only {status.replace('_', ' ')}")
        for kind, count in known[1][:12]:
            offer(Wanted(reason=kind), f"reason: {excerpt(kind, 40)} ({count:,})")
        for run in known[0][:20]:
            offer(Wanted(run=run.id), f"run {run.id}: {excerpt(run.task, 12)}, {excerpt(run.source, 36)}")
        offer(Wanted("newest", reviewed=True), "judged ones too, newest first")
        chosen = await self.app.push_screen_wait(Choice("Review", options))
        if chosen is not None:
            self._wanted = choices[int(chosen)]
            await self._load()


def _offers(project: Project) -> tuple[list[RunRow], list[tuple[str, int]]]:
    return runs.list_runs(project), judging.reasons(project)


def _asked(one: Candidate) -> list[str | tuple[str, str]]:
    """Return why a result is uncertain, or what a person said of it."""
    if one.verdict is not None:
        reason = f": {excerpt(one.review_reason, 50)}" if one.review_reason else ""
        return [("  judged: ", "$foreground-muted"), (f"{one.verdict}{reason}", "$accent")]
    if one.status != "accepted" and one.reason is not None:
        return [("  reason: ", "$foreground-muted"), (excerpt(one.reason, 60), "$warning")]
    return []
