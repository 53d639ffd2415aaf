"""Dialogs: a question, a choice, a text, lines to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from augtui.domain.visible import visible
from augtui.tui.widgets.keys import KeyLine

T = TypeVar("T")
ROOM = 64
"""Columns for text in a box of the usual width."""


class Dialog(ModalScreen[T | None], Generic[T]):
    """A box over the screen; Escape leaves it without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", id="dialog.close")]

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Match no rule twice: a dialog has just been made."""
        event.refresh_styles = False

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)


class Question(Dialog[bool]):
    """Asks yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="dialog.yes"),
        Binding("n", "answer(False)", "No", id="dialog.no"),
    ]

    def __init__(self, title: str, text: Content | str, *, yes: str = "Yes", no: str = "No") -> None:
        """Ask; `yes` and `no` name what would be done."""
        super().__init__()
        self._title, self._text, self._yes, self._no = title, text, yes, no

    def compose(self) -> ComposeResult:
        """Show the question and the two answers."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(self._text, markup=False)
            with Horizontal(classes="buttons"):
                yield Button(Content(self._yes), id="yes", variant="primary", compact=True)
                yield Button(Content(self._no), id="no", compact=True)
        yield KeyLine()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer."""
        self.dismiss(yes)


class Choice(Dialog[str]):
    """Lets one of several be chosen; answers with its id."""

    def __init__(self, title: str, options: Sequence[tuple[str, Content | str]], *, chosen: str | None = None) -> None:
        """Offer options as (id, what is shown); `chosen` is where the cursor begins."""
        super().__init__()
        self._title, self._options, self._chosen = title, options, chosen

    def compose(self) -> ComposeResult:
        """Show the options."""
        longest = max(
            (Content(shown).cell_length if isinstance(shown, str) else shown.cell_length for _, shown in self._options),
            default=0,
        )
        with Vertical(classes="dialog choice wide" if longest > ROOM else "dialog choice") as box:
            box.border_title = Content(self._title)
            yield OptionList(*self._listed(), markup=False, compact=True)
        yield KeyLine()

    def _listed(self) -> Iterable[Option]:
        # Positions name the options: ids may be any text.
        for place, (_, shown) in enumerate(self._options):
            yield Option(Content(shown) if isinstance(shown, str) else shown, id=f"o{place}")

    def on_mount(self) -> None:
        """Begin at the chosen one."""
        names = [name for name, _ in self._options]
        if self._chosen in names:
            self.query_one(OptionList).highlighted = names.index(self._chosen)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.dismiss(self._options[event.option_index][0])


class Prompt(Dialog[str]):
    """Asks for a line of text."""

    def __init__(self, title: str, text: Content | str = "", *, value: str = "", placeholder: str = "") -> None:
        """Ask; `value` is what may be changed."""
        super().__init__()
        self._title, self._text, self._value, self._placeholder = title, text, value, placeholder

    def compose(self) -> ComposeResult:
        """Show the question and a line to write on."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            if self._text:
                yield Static(self._text, markup=False)
            yield Input(visible(self._value), placeholder=self._placeholder, compact=True)
        yield KeyLine()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer."""
        self.dismiss(event.value)


class Reading(Dialog[None]):
    """Lines to read: a log, an output, a whole record."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="dialog.copy"),
        Binding("q", "leave", "Close", show=False, id="dialog.quit"),
    ]

    def __init__(self, title: str, text: Content, *, copied: str | None = None) -> None:
        """Show a text; `copied` is what Copy puts into the clipboard, the text itself where None."""
        super().__init__()
        self._title, self._text, self._copied = title, text, copied

    def compose(self) -> ComposeResult:
        """Show the text."""
        with Vertical(classes="dialog tall") as box:
            box.border_title = Content(self._title)
            with VerticalScroll():
                yield Static(self._text, markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one(VerticalScroll).focus()

    def action_copy(self) -> None:
        """Copy the text."""
        self.app.copy_to_clipboard(self._text.plain if self._copied is None else self._copied)
        self.notify("Copied.", markup=False)
