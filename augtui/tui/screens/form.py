"""The form of a command: its options as fields, what it would cost in time, and the command line that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.validation import Integer, Number
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Select, Static

from augtui.domain.visible import visible
from augtui.tui.catalogue import Command, Parameter, shown
from augtui.tui.screens.dialogs import Dialog
from augtui.tui.text import assemble
from augtui.tui.widgets.keys import KeyLine

FIRST = ("file", "model", "samples", "limit", "guard", "style", "slots", "temperature", "seed", "output")
"""Fields that come first, where a command has them."""
WIDTH, FRAME = 110, 6
"""Columns of the box at most, and of its border and padding."""
FRAME_ROWS = 7
"""Rows of border, padding, buttons with the line above them, and keys."""
LINE_ROWS = 3
TALL = 30
"""Rows of a window that has some to spare."""


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields below each other; up and down go from one to the next instead of scrolling."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Previous field", show=False, id="form.previous"),
    ]


class Flag(Checkbox):
    """A box that is empty where the answer is no: without colours, too, it is told from yes."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Mark the box, or empty it."""
        self.BUTTON_INNER = "X" if self.value else " "
        super().watch_value()


class Form(Dialog[list[str]]):
    """Answers with the words of the command, ready to be run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", id="form.start"),
        Binding("ctrl+y", "copy", "Copy command", id="form.copy"),
        Binding("f1", "app.help", "Help", key_display="F1", id="app.help"),
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
        self._line = ""
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
            yield Static("", id="about-field", classes="quiet", markup=False)
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
                widget = Flag(value=value == "True", id=f"p-{parameter.name}", compact=True)
            elif parameter.choices:
                widget = Select(
                    [(Content(choice), choice) for choice in parameter.choices],
                    # Given later, before there is a list, it would be held but not shown.
                    value=value if value in parameter.choices else Select.NULL,
                    prompt=visible(self._defaults.get(parameter.name, "default")),
                    id=f"p-{parameter.name}",
                    compact=True,
                )
            else:
                widget = Input(
                    visible(value),
                    placeholder=visible(parameter.default or self._defaults.get(parameter.name, "")),
                    id=f"p-{parameter.name}",
                    type={"integer": "integer", "number": "number"}.get(parameter.kind, "text"),  # type: ignore[arg-type]
                    validators=_limits(parameter),
                    compact=True,
                )
            yield widget
            yield Static(Content(parameter.help), classes="hint quiet", markup=False)

    def on_mount(self) -> None:
        """Begin on the first field, or on the button."""
        self._show()
        first = self.query_one("#start") if self._start else next(iter(self.query(Input)), None)
        if first is not None:
            first.focus()

    def on_resize(self) -> None:
        """Let the fields have what the window leaves."""
        self._fit()

    def _fit(self) -> None:
        """Give the fields the rows that the window and the other parts leave: the buttons are always seen."""
        width = min(WIDTH, int(0.95 * self.app.size.width)) - FRAME
        longest = max((parameter.help for parameter in self._parameters), key=cell_len, default="")
        about = min(_rows(longest, width), 2 if self.app.size.height < TALL else 3)
        line = min(LINE_ROWS, _rows(self._line, width))
        estimate = 1 + _rows(self._estimate, width)
        rest = FRAME_ROWS + _rows(self._command.summary + ".", width) + about + estimate + line
        self.query_one(".fields").styles.height = max(3, min(len(self._parameters), self.app.size.height - rest))
        self.query_one("#about-field").styles.height = about

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say the whole of what is cut off beside the field."""
        name = (event.widget.id or "").removeprefix("p-")
        parameter, field = self._command.parameter(name), event.widget.parent
        room = 0 if parameter is None or field is None else field.query_one(".hint").size.width
        told = parameter.help if parameter is not None and cell_len(parameter.help) > room else ""
        self.query_one("#about-field", Static).update(Content(told))

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
        given = self._given()
        missing = [one.name for one in self._parameters if one.required and not given.get(one.name)]
        if missing:
            names = ", ".join(missing).replace("_", " ")
            self.notify(f"{names}: needed.", severity="warning", markup=False)
            self.query_one(f"#p-{missing[0]}").focus()
            return
        invalid = [widget for widget in self.query(Input) if widget.value and not widget.is_valid]
        if invalid:
            name = (invalid[0].id or "").removeprefix("p-")
            told = _told(invalid[0].value, self._command.parameter(name))
            self.notify(f"{name.replace('_', ' ')} {told}.", severity="warning", markup=False)
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
        self._line = f"$ {line}"
        self._fit()
        if self._estimate:
            self.query_one("#estimate", Static).update(Content(self._estimate))


def _limits(parameter: Parameter) -> list[Number]:
    """Return what holds a number in its range, nothing where it has none."""
    if parameter.minimum is None and parameter.maximum is None:
        return []
    kind = Integer if parameter.kind == "integer" else Number
    return [kind(minimum=parameter.minimum, maximum=parameter.maximum)]


def _told(value: str, parameter: Parameter | None) -> str:
    """Return what is wrong with a number."""
    try:
        number = float(value)
    except ValueError:
        return "is no number"
    if parameter is not None and parameter.minimum is not None and number < parameter.minimum:
        return f"is {parameter.minimum:g} or more"
    if parameter is not None and parameter.maximum is not None and number > parameter.maximum:
        return f"is {parameter.maximum:g} or less"
    return "is no whole number" if parameter is not None and parameter.kind == "integer" else "is no number"


def _rows(text: str, width: int) -> int:
    """Return the rows that a text takes at a width, one at least."""
    return max(1, Content(text).get_height({}, max(1, width)))
