"""Which records are listed: by state, task, language and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Footer, Select, Static

from augtui.domain.visible import excerpt
from augtui.store.listings import STATES, Filter
from augtui.store.runs import RunRow
from augtui.tui.screens.dialogs import Dialog


class Filters(Dialog[Filter]):
    """Answers with the filter that was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "apply", "Apply", id="filter.apply"),
        Binding("ctrl+r", "reset", "Show all", id="filter.reset"),
    ]

    def __init__(
        self, now: Filter, tasks: Sequence[str], languages: Sequence[tuple[str, int]], runs: Sequence[RunRow]
    ) -> None:
        """Offer what the project has; `now` is what holds."""
        super().__init__()
        self._now = now
        self._offers: dict[str, tuple[list[tuple[str, str]], str | None]] = {
            "state": ([(name, name) for name in STATES], now.state),
            "task": ([(excerpt(name, 30), name) for name in tasks], now.task),
            "language": ([(f"{excerpt(name, 12)}  {count:,}", name) for name, count in languages], now.language),
            "run": (
                [(f"{run.id} · {excerpt(run.task, 12)} · {excerpt(run.source, 30)}", str(run.id)) for run in runs],
                None if now.run is None else str(now.run),
            ),
        }

    def compose(self) -> ComposeResult:
        """Show one choice for each property."""
        with Vertical(classes="dialog form") as box:
            box.border_title = "Filter"
            for name, (options, chosen) in self._offers.items():
                with Horizontal(classes="field"):
                    yield Static(name, classes="label", markup=False)
                    select = Select(
                        [(Content(shown), value) for shown, value in options], prompt="all", id=name, compact=True
                    )
                    if chosen in {value for _, value in options}:
                        select.value = chosen
                    yield select
            with Horizontal(classes="buttons"):
                yield Button("Apply", id="apply", variant="primary", compact=True)
                yield Button("Show all", id="reset", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "apply":
            self.action_apply()
        else:
            self.action_reset()

    def action_apply(self) -> None:
        """Answer with what is chosen."""
        found = {
            name: None if (value := self.query_one(f"#{name}", Select).value) is Select.NULL else str(value)
            for name in self._offers
        }
        run = found["run"]
        self.dismiss(
            Filter(self._now.text, found["state"], found["task"], found["language"], None if run is None else int(run))
        )

    def action_reset(self) -> None:
        """Answer with no filter but the search."""
        self.dismiss(Filter(self._now.text))
