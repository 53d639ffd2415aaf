"""4 Models: those that are here and those that can be had, what is known of them, and a place to try them out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from augtui.domain.visible import excerpt, restored, visible
from augtui.engines.machine import free_bytes
from augtui.errors import AugtuiError
from augtui.models import catalog, family, fits, registry
from augtui.pipelines import keeping
from augtui.pipelines.keeping import Answer
from augtui.pipelines.steps import MODEL_TASKS
from augtui.store.dataset import StoredRecord
from augtui.tui.screens.dialogs import Choice, Reading
from augtui.tui.screens.workbench import Workbench
from augtui.tui.tasks import spawn
from augtui.tui.text import assemble, plain, sides, size
from augtui.tui.tryout import Question, Tryout

DRAW_S = 0.1
PAUSE_S = 0.15
GONE = "its files are gone"


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in the list."""

    name: str
    tasks: tuple[str, ...]
    bytes: int
    is_here: bool
    verdict: str
    """Whether it fits this machine, or why it cannot be used."""
    fits: bool = True


def listed() -> list[Listed]:
    """Return the models that are here, then those that can be had, with what fits the memory that is free."""
    bundled = catalog.resolve(catalog.DEFAULT)
    found = [Listed(catalog.DEFAULT, ("refine", "expand"), bundled.bytes, True, "with augtui")]
    entries = set()
    for pulled in sorted(registry.load(), key=lambda one: one.key):
        entry = family.find(pulled.entry) if pulled.entry else None
        entries.add(pulled.entry)
        verdict = "here" if pulled.is_here else GONE
        found.append(Listed(pulled.key, entry.tasks if entry else (), pulled.bytes, pulled.is_here, verdict))
    free = free_bytes()
    for entry in family.FAMILY:
        if entry.name in entries:
            continue
        best = fits.best_quantization(entry, free)
        file = entry.file_bytes(best or "Q2_K")
        need = fits.need_bytes(file, entry.cell_bytes, entry.context)
        verdict = f"{best} ~{size(file)}" if best else f"too large: takes {size(need)}"
        found.append(Listed(entry.name, entry.tasks, file, False, verdict, best is not None))
    return found


class Models(Workbench):
    """Models and the place to try them out."""

    MODE = "models"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "try", "Try out", id="models.try"),
        Binding("p", "command('pull')", "Pull", id="models.pull"),
        Binding("v", "command('verify')", "Verify", id="models.verify"),
        Binding("d", "command('rm')", "Remove", id="models.remove"),
        Binding("o", "task", "Task", id="models.task"),
        Binding("plus", "samples(1)", "More samples", show=False, key_display="+", id="models.more"),
        Binding("minus", "samples(-1)", "Fewer samples", show=False, key_display="-", id="models.fewer"),
        Binding("n", "again", "Again", id="models.again"),
        Binding("w", "keep", "Write", id="models.keep"),
        Binding("y", "copy", "Copy answer", id="models.copy"),
        Binding("i", "facts", "All facts", show=False, id="models.facts"),
        Binding("escape", "back", "Back to the list", id="models.back"),
    ]

    def __init__(self) -> None:
        """Begin with the default model."""
        super().__init__()
        self._models: list[Listed] = []
        self._facts: dict[str, Any] = {}
        self._rest: Timer | None = None
        self._asked = next(iter(MODEL_TASKS))
        self._count = 3
        self._seed = 0
        self._prompt = ""
        self._came: StoredRecord | None = None
        """The record that the prompt came from."""
        self._tryout: Tryout | None = None
        self._drawn = -1

    def body(self) -> ComposeResult:
        """Put the list beside the facts, and the answers below them."""
        with Horizontal(id="models"):
            with Vertical(classes="pane", id="model-list") as box:
                box.border_title = "Models"
                yield OptionList(id="names", markup=False, compact=True)
            with Vertical(id="model"):
                with VerticalScroll(classes="pane", id="facts-pane", can_focus=True) as box:
                    box.border_title = "About"
                    yield Static(id="about", markup=False)
                with Vertical(classes="pane", id="tryout") as box:
                    box.border_title = "Try out"
                    yield Input(placeholder="a prompt; enter asks", id="prompt", compact=True)
                    yield OptionList(id="answers", markup=False)

    def on_mount(self) -> None:
        """List the models."""
        self.set_interval(DRAW_S, self._draw)
        self.query_one("#names", OptionList).highlighted = 0
        self.query_one("#names").focus()
        self._title()

    def on_unmount(self) -> None:
        """Let the model go that was tried out."""
        if self._tryout is not None:
            self._tryout.close()

    def refresh_body(self) -> None:
        """List the models anew: a pull may have brought one."""
        self.call_after_refresh(lambda: spawn(self, self._list, group="list", exclusive=True))

    def on_resize(self) -> None:
        """Fit the list to the new width."""
        super().on_resize()
        self.refresh_body()

    async def _list(self) -> None:
        try:
            self._models = listed()
        except AugtuiError as error:
            self.workshop.complain(error)
            return
        options = self.query_one("#names", OptionList)
        place = options.highlighted
        options.clear_options()
        width = max(20, options.size.width - 1)
        options.add_options(Option(_line(model, width)) for model in self._models)
        options.highlighted = place if place is not None and place < len(self._models) else 0

    @property
    def model(self) -> Listed | None:
        """Return the model under the cursor."""
        place = self.query_one("#names", OptionList).highlighted
        return self._models[place] if place is not None and place < len(self._models) else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell about the model, once the cursor rests."""
        if event.option_list.id != "names":
            return
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(PAUSE_S, lambda: spawn(self, self._tell, group="tell", exclusive=True))

    async def _tell(self) -> None:
        model = self.model
        if model is None:
            return
        self.refresh_bindings()
        self.query_one("#facts-pane").border_title = Content(excerpt(model.name, 50))
        known = self._facts.get(model.name)
        if known is None:
            text = await self.workshop.jobs.capture(["show", model.name, "--json"])
            known = {}
            with contextlib.suppress(ValueError):
                found = json.loads(text)
                known = found if isinstance(found, dict) else {}
            self._facts[model.name] = known
        self.query_one("#about", Static).update(_about(known, model))
        self._title()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Begin to try the model out, or show an answer as a whole."""
        if event.option_list.id == "names":
            self.action_try()
        elif self._tryout is not None and event.option_index < len(self._tryout.samples):
            text = self._tryout.samples[event.option_index].text
            self.app.push_screen(Reading("Answer", sides(self._prompt, text)[1], copied=text))

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now: what is done with answers needs some."""
        if action == "back":
            return not self.query_one("#names").has_focus
        if action in ("again", "keep", "copy"):
            return True if self._tryout is not None and self._tryout.samples else None
        model = self.model
        if action == "command" and model is not None:
            is_ours = model.name == catalog.DEFAULT
            allowed = {"pull": not is_ours, "verify": model.is_here}
            allowed |= {"rm": not is_ours and (model.is_here or model.verdict == GONE)}
            return True if allowed.get(str(parameters[0]), True) else None
        return True

    def action_back(self) -> None:
        """Go back to the list of models."""
        self.query_one("#names").focus()

    def action_try(self) -> None:
        """Write a prompt."""
        self.query_one("#prompt").focus()

    def take(self, record: StoredRecord) -> None:
        """Put a record's instruction into the prompt."""
        self._came = record
        prompt = self.query_one("#prompt", Input)
        prompt.value = visible(record.instruction)
        prompt.focus()
        # With the focus all is selected and its end is shown: a prompt is read from its beginning.
        self.call_after_refresh(setattr, prompt, "cursor_position", 0)
        self.query_one("#answers", OptionList).clear_options()
        self._title()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say whether the prompt still is the record's."""
        self._title()

    @property
    def _is_records(self) -> bool:
        """Say whether the prompt is a record's, unchanged."""
        return self._came is not None and self.query_one("#prompt", Input).value == visible(self._came.instruction)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask the model."""
        self._prompt = event.value if self._came is None else restored(event.value, self._came.instruction)
        self._seed = 0
        self._ask()
        self.query_one("#answers").focus()

    def action_again(self) -> None:
        """Ask once more, with new seeds."""
        if self._prompt:
            self._seed += 1
            self._ask()

    def _ask(self) -> None:
        model = self.model
        if model is None or not self._prompt.strip():
            return
        if not model.is_here:
            self.notify(f"{visible(model.name)} is not here yet. p pulls it.", severity="warning", markup=False)
            return
        if self._tryout is None:
            self._tryout = Tryout(self.workshop.settings)
        came = self._came if self._is_records else None
        record_id, response = (None, None) if came is None else (came.id, came.response)
        self._tryout.ask(Question(model.name, self._asked, self._prompt, self._count, self._seed, record_id, response))
        self.refresh_bindings()

    def action_samples(self, by: int) -> None:
        """Ask for more or fewer answers."""
        self._count = min(8, max(1, self._count + by))
        self._title()

    def action_task(self) -> None:
        """Choose what the model is asked to do."""
        spawn(self, self._choose_task)

    async def _choose_task(self) -> None:
        options = [(name, name) for name in MODEL_TASKS]
        chosen = await self.app.push_screen_wait(Choice("Task", options, chosen=self._asked))
        if chosen is not None:
            self._asked = chosen
            self._title()

    def action_keep(self) -> None:
        """Write the answer under the cursor into the project, as a child of the record that was asked about."""
        place = self.query_one("#answers", OptionList).highlighted or 0
        if self._tryout is not None and place < len(self._tryout.samples):
            answer = self._tryout.samples[place].answer
            if answer is None:
                self.notify("This answer is not finished.", severity="warning", markup=False)
            else:
                spawn(self, partial(self._keep, answer))

    async def _keep(self, answer: Answer) -> None:
        number = await self.workshop.reader.hands.ask(keeping.keep, answer, self.workshop.reviewer)
        whose = (
            "a child of the record that was asked about" if answer.record_id else "made from the prompt, a new record"
        )
        self.notify(f"Record {number:,}: {whose}. 1 shows it with its origin.", title="Written", markup=False)

    def action_copy(self) -> None:
        """Copy the answer under the cursor."""
        place = self.query_one("#answers", OptionList).highlighted or 0
        if self._tryout is not None and place < len(self._tryout.samples):
            self.app.copy_to_clipboard(self._tryout.samples[place].text)
            self.notify("Copied the answer.", markup=False)

    def action_facts(self) -> None:
        """Show all that is known, the chat template too."""
        model = self.model
        if model is not None:
            facts = self._facts.get(model.name, {})
            self.app.push_screen(Reading(model.name, plain(json.dumps(facts, indent=2, ensure_ascii=False))))

    def action_command(self, name: str) -> None:
        """Offer a command for the model under the cursor."""
        command, model = self.workshop.catalogue.get(name), self.model
        if command is None or model is None or not command.parameters:
            return
        argument = next((one for one in command.parameters if not one.flags), command.parameters[0])
        values = {argument.name: model.name}
        if command.parameter("yes") is not None:
            values["yes"] = "True"
        self._facts.clear()
        spawn(self, partial(self.workshop.offer, command, values, start=name != "rm"))

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _title(self) -> None:
        model = self.model
        name = "" if model is None else excerpt(model.name, 30)
        box = self.query_one("#tryout")
        box.border_title = Content(f"Try out: {self._asked} · {name}" if name else f"Try out: {self._asked}")
        box.border_subtitle = Content(f"{self._count} samples{' · of a record' if self._is_records else ''}")

    def _draw(self) -> None:
        tryout = self._tryout
        if tryout is None or not self.is_current or tryout.version == self._drawn:
            return
        self._drawn = tryout.version
        answers = self.query_one("#answers", OptionList)
        place = answers.highlighted
        answers.clear_options()
        if tryout.error is not None:
            hint = f"\n{visible(tryout.error.hint)}" if tryout.error.hint else ""
            answers.add_option(Option(Content.styled(visible(tryout.error.message) + hint, "$error")))
            return
        for number, sample in enumerate(tryout.samples, start=1):
            if not sample.text and not sample.is_done:
                waiting = "loading the model…" if tryout.state == "loading" else "…"
                answers.add_option(Option(Content.styled(f"{number}  {waiting}", "$foreground-muted")))
                continue
            mark, style = ("○", "$foreground-muted")
            if sample.is_done:
                mark, style = ("✓", "$success") if sample.verdict is None else ("✗", "$error")
            pieces: list[str | tuple[str, str] | Content] = [(f"{number} {mark} ", style), plain(sample.text)]
            if sample.is_done:
                speed = f"{sample.tokens / sample.seconds:,.0f} tok/s" if sample.seconds else ""
                said = "" if sample.verdict is None else f"{excerpt(sample.verdict, 60)} · "
                pieces.append((f"\n    {said}{sample.tokens} tok · {speed}", "$foreground-muted"))
            answers.add_option(Option(assemble(pieces)))
        answers.highlighted = place


def _line(model: Listed, width: int) -> Content:
    mark, style = ("●", "$success") if model.is_here else ("○", "$foreground-muted" if model.fits else "$error")
    verdict = excerpt(model.verdict, 26)
    name = excerpt(model.name, max(8, width - len(verdict) - 5))
    gap = max(1, width - len(name) - len(verdict) - 4)
    return assemble(
        [
            (f"{mark} ", style),
            (name, "" if model.is_here else "$foreground-muted"),
            " " * gap,
            (verdict, "$foreground-muted" if model.fits else "$error"),
        ]
    )


SHOWN_FACTS = (
    "state", "tasks", "description", "architecture", "parameters", "quantization", "size_bytes", "context", "layers",
    "vocabulary", "style", "sampling", "licence", "checkpoint", "gguf_from", "repository", "revision", "path", "sha256",
    "verified_at", "note",
)  # fmt: skip


def _about(facts: Mapping[str, Any], model: Listed) -> Content:
    names = [*(name for name in SHOWN_FACTS if name in facts), *(name for name in facts if name not in SHOWN_FACTS)]
    pieces: list[str | tuple[str, str] | Content] = []
    for name in names:
        value = facts[name]
        if name in ("name", "card") or value in (None, "", [], {}):
            continue
        if name == "chat_template":
            shown = f"{len(str(value).splitlines())} lines (i shows all)"
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        elif name.endswith("bytes") and isinstance(value, int):
            shown = size(value)
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        pieces += [(f"{visible(name).replace('_', ' '):<15} ", "$foreground-muted"), visible(shown), "\n"]
    if not pieces:
        pieces = [(f"{visible(model.verdict)}\n", "$foreground-muted")]
    if not model.is_here:
        pieces += [("\np", "bold $accent"), " pulls it; what came stays if the line breaks."]
    return assemble(pieces)
