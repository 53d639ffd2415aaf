"""Which records are listed: by state, task, language and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from augtui.domain.visible import excerpt
from augtui.store.listings import STATES, Filter
from augtui.store.runs import RunRow
from augtui.tui.screens.dialogs import Dialog
from augtui.tui.text import assemble
from augtui.tui.widgets.keys import KeyLine


class Filters(Dialog[Filter]):
    """Answers with the filter that was chosen. All that can be chosen is one list: four boxes took long to open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark several", id="filter.mark"),
        Binding("ctrl+s", "apply", "Apply", id="filter.apply"),
        Binding("ctrl+r", "reset", "Show all", id="filter.reset"),
    ]

    def __init__(
        self, now: Filter, tasks: Sequence[str], languages: Sequence[tuple[str, int]], runs: Sequence[RunRow]
    ) -> None:
        """Offer what the project has; `now` is what holds."""
        super().__init__()
        self._now = now
        self.chosen: dict[str, str | None] = {
            "state": now.state,
            "task": now.task,
            "language": now.language,
            "run": None if now.run is None else str(now.run),
        }
        """What is marked, by property."""
        offers: dict[str, list[tuple[str, str]]] = {
            "state": [(name, name) for name in STATES],
            "task": [(excerpt(name, 30), name) for name in tasks],
            "language": [(f"{excerpt(name, 12):<12} {count:>12,}", name) for name, count in languages],
            "run": [(f"{run.id} · {excerpt(run.task, 12)} · {excerpt(run.source, 30)}", str(run.id)) for run in runs],
        }
        self._lines: list[tuple[str, str | None, str]] = []
        """Each line's property, the value that it stands for (None: a title) and what is shown."""
        for name, options in offers.items():
            if options:
                self._lines.append((name, None, name))
                self._lines += [(name, value, shown) for shown, value in options]

    def compose(self) -> ComposeResult:
        """Show what can be chosen, property by property."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Filter"
            box.border_subtitle = "enter takes one, space marks several"
            yield OptionList(*(self._option(place) for place in range(len(self._lines))), markup=False, compact=True)
            with Horizontal(classes="buttons"):
                yield Button("Apply", id="apply", variant="primary", compact=True)
                yield Button("Show all", id="reset", compact=True)
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin at what holds, or else at the first line."""
        held = [place for place, (name, value, _) in enumerate(self._lines) if value and self.chosen[name] == value]
        options = self.query_one(OptionList)
        options.highlighted = held[0] if held else 1
        options.focus()

    def _option(self, place: int) -> Option:
        name, value, shown = self._lines[place]
        if value is None:
            return Option(Content.styled(shown, "$accent"), disabled=True)
        is_chosen = self.chosen[name] == value
        return Option(assemble([("  ● " if is_chosen else "  ○ ", "$success" if is_chosen else ""), shown]))

    def choose(self, name: str, value: str | None) -> None:
        """Mark a value of a property, or none."""
        self.chosen[name] = value
        options = self.query_one(OptionList)
        for place, (owner, other, _) in enumerate(self._lines):
            if owner == name and other is not None:
                options.replace_option_prompt_at_index(place, self._option(place).prompt)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """List only what was chosen, beside what is marked."""
        name, value, _ = self._lines[event.option_index]
        self.chosen[name] = value
        self.action_apply()

    def action_mark(self) -> None:
        """Mark the line under the cursor, or take its mark away."""
        place = self.query_one(OptionList).highlighted
        if place is not None:
            name, value, _ = self._lines[place]
            self.choose(name, None if self.chosen[name] == value else value)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "apply":
            self.action_apply()
        else:
            self.action_reset()

    def action_apply(self) -> None:
        """Answer with what is marked."""
        run = self.chosen["run"]
        self.dismiss(
            Filter(
                self._now.text,
                self.chosen["state"],
                self.chosen["task"],
                self.chosen["language"],
                None if run is None else int(run),
            )
        )

    def action_reset(self) -> None:
        """Answer with no filter but the search."""
        self.dismiss(Filter(self._now.text))
