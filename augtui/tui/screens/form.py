"""The form of a command: its options as fields, what it would cost in time, and the command line that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Select, Static

from augtui.domain.visible import visible
from augtui.tui.catalogue import Command, Parameter, shown
from augtui.tui.screens.dialogs import Dialog
from augtui.tui.text import assemble
from augtui.tui.widgets.keys import KeyLine

FIRST = ("file", "model", "samples", "limit", "guard", "style", "slots", "temperature", "seed", "output")
"""Fields that come first, where a command has them."""


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields below each other; up and down go from one to the next instead of scrolling."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Previous field", show=False, id="form.previous"),
    ]


class Form(Dialog[list[str]]):
    """Answers with the words of the command, ready to be run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", id="form.start"),
        Binding("ctrl+y", "copy", "Copy command", id="form.copy"),
    ]

    def __init__(
        self,
        command: Command,
        values: Mapping[str, str] | None = None,
        *,
        defaults: Mapping[str, str] | None = None,
        estimate: str = "",
        start: bool = False,
        prefix: str = "augtui",
    ) -> None:
        """Offer a command; `values` are given already, `defaults` are what holds where nothing is given.

        `start` begins on the button, so that one key starts it.
        """
        super().__init__()
        self._command = command
        self._values = dict(values or {})
        self._defaults = dict(defaults or {})
        self._estimate = estimate
        self._start = start
        self._prefix = prefix
        order = {name: place for place, name in enumerate(FIRST)}
        self._parameters = sorted(
            command.parameters,
            key=lambda one: (not one.required, order.get(one.name, len(order))),
        )

    def compose(self) -> ComposeResult:
        """Show a field for each parameter."""
        with Vertical(classes="dialog form") as box:
            box.border_title = Content(self._command.name)
            yield Static(Content(self._command.summary + "."), classes="quiet", markup=False)
            with Fields(classes="fields"):
                for parameter in self._parameters:
                    yield from self._field(parameter)
            yield Static("", id="estimate", markup=False)
            yield Static("", id="line", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Start", id="start", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
        yield KeyLine()

    def _field(self, parameter: Parameter) -> ComposeResult:
        name = parameter.name.replace("_", " ")
        value = self._values.get(parameter.name, "")
        with Horizontal(classes="field"):
            label = Content.styled(name, "bold") if parameter.required else Content(name)
            yield Static(label, classes="label", markup=False)
            widget: Widget
            if parameter.kind == "flag":
                widget = Checkbox(value=value == "True", id=f"p-{parameter.name}", compact=True)
            elif parameter.choices:
                widget = Select(
                    [(Content(choice), choice) for choice in parameter.choices],
                    prompt=visible(self._defaults.get(parameter.name, "default")),
                    id=f"p-{parameter.name}",
                    compact=True,
                )
                if value in parameter.choices:
                    widget.value = value
            else:
                widget = Input(
                    visible(value),
                    placeholder=visible(parameter.default or self._defaults.get(parameter.name, "")),
                    id=f"p-{parameter.name}",
                    type={"integer": "integer", "number": "number"}.get(parameter.kind, "text"),  # type: ignore[arg-type]
                    compact=True,
                )
            yield widget
            yield Static(Content(parameter.help), classes="hint quiet", markup=False)

    def on_mount(self) -> None:
        """Begin on the first field, or on the button."""
        self._show()
        self._fit()
        first = self.query_one("#start") if self._start else next(iter(self.query(Input)), None)
        if first is not None:
            first.focus()

    def on_resize(self) -> None:
        """Let the fields have what the window leaves."""
        self._fit()

    def _fit(self) -> None:
        rows = min(len(self._parameters), max(4, self.app.size.height - 15))
        self.query_one(".fields").styles.height = rows

    def on_input_changed(self) -> None:
        """Keep the command line true."""
        self._show()

    def on_select_changed(self) -> None:
        """Keep the command line true."""
        self._show()

    def on_checkbox_changed(self) -> None:
        """Keep the command line true."""
        self._show()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Start or leave."""
        if event.button.id == "start":
            self.action_start()
        else:
            self.dismiss(None)

    def on_input_submitted(self) -> None:
        """Start from any field."""
        self.action_start()

    def action_start(self) -> None:
        """Answer with the command, unless something is missing."""
        missing = [
            parameter.name.replace("_", " ")
            for parameter in self._command.parameters
            if parameter.required and not self._given().get(parameter.name)
        ]
        if missing:
            self.notify(f"{', '.join(missing)}: needed.", severity="warning", markup=False)
            return
        invalid = [widget for widget in self.query(Input) if widget.value and not widget.is_valid]
        if invalid:
            name = (invalid[0].id or "").removeprefix("p-").replace("_", " ")
            self.notify(f"{name} is no number.", severity="warning", markup=False)
            invalid[0].focus()
            return
        self.dismiss(self._command.arguments(self._given()))

    def action_copy(self) -> None:
        """Copy the command line."""
        self.app.copy_to_clipboard(shown(self._command.arguments(self._given()), self._prefix))
        self.notify("Copied: the same command for a shell.", markup=False)

    def _given(self) -> dict[str, str | bool | None]:
        given: dict[str, str | bool | None] = {}
        for parameter in self._command.parameters:
            widget = self.query_one(f"#p-{parameter.name}")
            if isinstance(widget, Checkbox):
                given[parameter.name] = widget.value
            elif isinstance(widget, Select):
                given[parameter.name] = None if widget.value is Select.NULL else str(widget.value)
            elif isinstance(widget, Input):
                original = self._values.get(parameter.name, "")
                # What was shown with its hidden characters made visible is still meant as it was.
                given[parameter.name] = original if widget.value == visible(original) else widget.value
        return given

    def _show(self) -> None:
        line = visible(shown(self._command.arguments(self._given()), self._prefix))
        self.query_one("#line", Static).update(assemble([("$ ", "$accent"), (line, "$foreground-muted")]))
        if self._estimate:
            self.query_one("#estimate", Static).update(Content(self._estimate))
